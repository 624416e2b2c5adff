//! S3 over the bucket folders: objects are read by [`objects`], everything else is `s3s`' and `s3s-fs`'.

mod files;
mod objects;

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::model::ACCOUNT;
pub use files::BucketsUnusable;
use files::Files;
use objects::Object;

#[derive(Clone)]
pub struct S3 {
    buckets: PathBuf,
    files: Files,
}

/// What a request is about: `/bucket/key?parameters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub bucket: String,
    pub key: String,
    /// Names of the query's parameters, without those of a signature.
    pub parameters: Vec<String>,
}

impl Target {
    pub fn of(uri: &Uri) -> Self {
        let decoded = |text: &str| super::engine::unescaped(text);
        let path = uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let names = uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        let plain = names.filter(|name| !name.is_empty() && !name.starts_with("X-Amz-") && *name != "x-id");
        Self { bucket: decoded(bucket), key: decoded(key), parameters: plain.map(str::to_owned).collect() }
    }

    pub fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|name| name == parameter)
    }

    /// The operation's name and IAM's action and resource for it.
    pub fn action(&self, method: &Method) -> (&'static str, &'static str, String) {
        let bucket = format!("arn:aws:s3:::{}", self.bucket);
        let object = format!("{bucket}/{}", self.key);
        if self.bucket.is_empty() {
            return ("ListBuckets", "s3:ListAllMyBuckets", "*".to_owned());
        }
        if self.key.is_empty() {
            return match method.as_str() {
                "PUT" => ("CreateBucket", "s3:CreateBucket", bucket),
                "DELETE" => ("DeleteBucket", "s3:DeleteBucket", bucket),
                "POST" => ("DeleteObjects", "s3:DeleteObject", format!("{bucket}/*")),
                "HEAD" => ("HeadBucket", "s3:ListBucket", bucket),
                _ if self.has("location") => ("GetBucketLocation", "s3:GetBucketLocation", bucket),
                _ if self.has("uploads") => ("ListMultipartUploads", "s3:ListBucketMultipartUploads", bucket),
                _ => ("ListObjects", "s3:ListBucket", bucket),
            };
        }
        match method.as_str() {
            "PUT" | "POST" => ("PutObject", "s3:PutObject", object),
            "DELETE" if self.has("uploadId") => ("AbortMultipartUpload", "s3:AbortMultipartUpload", object),
            "DELETE" => ("DeleteObject", "s3:DeleteObject", object),
            "HEAD" => ("HeadObject", "s3:GetObject", object),
            _ if self.has("uploadId") => ("ListParts", "s3:ListMultipartUploadParts", object),
            _ => ("GetObject", "s3:GetObject", object),
        }
    }
}

impl S3 {
    pub fn open(buckets: &Path) -> Result<Self, BucketsUnusable> {
        Ok(Self { buckets: buckets.to_owned(), files: Files::open(buckets)? })
    }

    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let target = Target::of(request.uri());
        let creates = *request.method() == Method::PUT && target.key.is_empty() && target.parameters.is_empty();
        let may_be = !target.bucket.starts_with('.') && (creates || self.buckets.join(&target.bucket).is_dir());
        if !target.bucket.is_empty() && !may_be {
            return error(StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist");
        }
        // All buckets here are of one account.
        let owner = request.headers().get("x-amz-expected-bucket-owner");
        if owner.is_some_and(|owner| owner != ACCOUNT) {
            return error(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied");
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads && target.parameters.is_empty() && !target.key.is_empty() {
            if let Some(object) = self.object(&target).await {
                return object.answer(request.method(), request.headers()).await;
            }
            if request.method() == Method::HEAD {
                return Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).unwrap_or_default();
            }
        }
        self.files.answer(request).await
    }

    async fn object(&self, target: &Target) -> Option<Object> {
        let location = format!("s3://{}/{}", target.bucket, target.key);
        let path = super::results::path_of(&self.buckets, &location).filter(|_| !target.key.ends_with('/'))?;
        let mut object = Object::of(&path)?;
        // What was uploaded through S3 has its headers beside it; the tag that the upload was answered with too.
        if self.has_headers(target) {
            let stored = self.files.head(&target.bucket, &target.key).await?;
            if let Some(tag) = stored.get(header::ETAG).and_then(|tag| tag.to_str().ok()) {
                object.etag = tag.to_owned();
            }
            object.stored = stored;
        }
        Some(object)
    }

    /// Whether `s3s-fs` keeps something about the object (its naming: `fs.rs` of that crate).
    fn has_headers(&self, target: &Target) -> bool {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let name = format!(".bucket-{}.object-{}.internal.json", encoded(&target.bucket), encoded(&target.key));
        self.buckets.join(name).exists()
    }
}

/// A refusal in S3's XML.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><RequestId>{}</RequestId></Error>",
        escape(code),
        escape(message),
        uuid::Uuid::new_v4()
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    response
}
