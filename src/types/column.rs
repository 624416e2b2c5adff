//! One column of a result, and the Arrow schema of several.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::AthenaType;
use super::builder::ColumnBuilder;

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    pub name: String,
    pub data_type: AthenaType,
    /// Whether the values are the texts that Athena writes: of nested types whose text cannot be read back.
    pub as_text: bool,
}

impl Column {
    pub fn new(name: impl Into<String>, data_type: AthenaType) -> Self {
        Self { name: name.into(), data_type, as_text: false }
    }

    /// The column as it is where only Athena's texts are there to read.
    pub fn read_from_text(self) -> Self {
        let as_text = self.data_type.is_nested() && !self.data_type.reads_back();
        Self { as_text, ..self }
    }

    pub fn field(&self) -> Field {
        if self.as_text { self.data_type.text_field(&self.name) } else { self.data_type.field(&self.name) }
    }

    pub fn builder(&self) -> ColumnBuilder {
        if self.as_text { ColumnBuilder::text() } else { ColumnBuilder::new(&self.data_type) }
    }
}

/// The Arrow schema of columns.
pub fn schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}
