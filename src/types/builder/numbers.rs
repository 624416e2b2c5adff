//! Collects values of one width.

use arrow::array::{ArrowPrimitiveType, NullBufferBuilder, PrimitiveArray};
use arrow::datatypes::DataType;

use super::Misfit;
use crate::types::AthenaType;
use crate::types::block::{self, Block};
use crate::types::cell::Cell;
use crate::types::value::ValueFault;

/// Collects values of one width.
pub struct Numbers<T: ArrowPrimitiveType> {
    data_type: DataType,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    pub(super) fn new(data_type: &AthenaType) -> Self {
        Self { data_type: data_type.arrow(), values: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }

    #[inline(always)]
    pub(super) fn append_all<'a>(
        &mut self,
        texts: impl Iterator<Item = Option<Cell<'a>>>,
        parse: impl Fn(Cell<'_>) -> Result<T::Native, ValueFault>,
    ) -> Result<(), Misfit> {
        self.values.reserve(texts.size_hint().0);
        let mut present = 0;
        for (index, text) in texts.enumerate() {
            match text {
                Some(text) => {
                    let value = parse(text).map_err(|fault| Misfit { index, fault })?;
                    self.values.push(value);
                    present += 1;
                }
                None => {
                    self.nulls.append_n_non_nulls(std::mem::take(&mut present));
                    self.nulls.append_null();
                    self.values.push(T::Native::default());
                }
            }
        }
        self.nulls.append_n_non_nulls(present);
        Ok(())
    }

    /// Appends values that were `read` together. `fits` says which numbers are values, and `narrow` makes one of them;
    /// `parse` reads what is odd by itself.
    #[inline(always)]
    pub(super) fn append_block(
        &mut self,
        block: Block<'_>,
        read: block::Numbers<'_>,
        fits: impl Fn(i64) -> bool,
        narrow: impl Fn(i64) -> T::Native,
        parse: impl Fn(Cell<'_>) -> Result<T::Native, ValueFault>,
    ) -> Result<(), Misfit> {
        let (before, count) = (self.values.len(), read.values.len());
        self.values.resize(before + count, T::Native::default());
        let values = &mut self.values[before..];
        let mut any_odd = 0;
        for ((value, number), odd) in values.iter_mut().zip(read.values).zip(&mut *read.odd) {
            *value = narrow(*number);
            *odd |= u64::from(!fits(*number));
            any_odd |= *odd;
        }
        let mut done = 0;
        if any_odd != 0 {
            for index in (0..count).filter(|index| read.odd[*index] != 0) {
                match block.get(index) {
                    Some(text) => values[index] = parse(text).map_err(|fault| Misfit { index, fault })?,
                    None => {
                        values[index] = T::Native::default();
                        self.nulls.append_n_non_nulls(index - done);
                        self.nulls.append_null();
                        done = index + 1;
                    }
                }
            }
        }
        self.nulls.append_n_non_nulls(count - done);
        Ok(())
    }

    pub(super) fn finish(&mut self) -> PrimitiveArray<T> {
        let array = PrimitiveArray::new(std::mem::take(&mut self.values).into(), self.nulls.finish());
        array.with_data_type(self.data_type.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn reserve(&mut self, times: usize) {
        self.values.reserve(super::more(times * self.values.len()));
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.len() * size_of::<T::Native>()
    }
}
