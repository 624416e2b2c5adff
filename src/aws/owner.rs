//! The account that the bucket of results has to belong to, said with every call to S3: a bucket that somebody else made
//! under a name of ours is refused by S3 itself.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use http::HeaderValue;

const HEADER: &str = "x-amz-expected-bucket-owner";

#[derive(Debug)]
pub struct ExpectedOwner(HeaderValue);

impl ExpectedOwner {
    pub fn new(account: &str) -> Option<Self> {
        HeaderValue::from_str(account).ok().map(Self)
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for ExpectedOwner {
    fn name(&self) -> &'static str {
        "ExpectedOwner"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let value = self.0.to_str()?.to_owned();
        context.request_mut().headers_mut().insert(HEADER, value);
        Ok(())
    }
}
