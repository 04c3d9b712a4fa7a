//! Reading the settings from the environment.

use std::path::PathBuf;

use runtime::{ConfigError, Env};

use crate::StoreConfig;

impl StoreConfig {
    /// `STORAGE_PROVIDER` (`aws` or `local`, default `local`) and that provider's settings:
    /// `AWS_BUCKET_NAME AWS_REGION AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    /// AWS_SESSION_TOKEN`, or `LOCAL_STORAGE_PATH` (default `./data/images`).
    ///
    /// # Errors
    /// When one is missing or makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        match env.get("STORAGE_PROVIDER").unwrap_or("local") {
            "aws" => {
                let access_key_id = env.get("AWS_ACCESS_KEY_ID").map(str::to_owned);
                let secret_access_key = env.secret("AWS_SECRET_ACCESS_KEY");
                if access_key_id.is_some() != secret_access_key.is_some() {
                    return Err(ConfigError::new(
                        "AWS_ACCESS_KEY_ID",
                        "and AWS_SECRET_ACCESS_KEY must be set together, or neither (then the AWS \
                         default chain is asked: profile, web identity, ECS, EC2)",
                    ));
                }
                Ok(Self::S3 {
                    bucket: env.require("AWS_BUCKET_NAME")?.to_owned(),
                    region: env.get("AWS_REGION").unwrap_or("us-east-1").to_owned(),
                    endpoint_url: env.parse("AWS_ENDPOINT_URL")?,
                    access_key_id,
                    secret_access_key,
                    session_token: env.secret("AWS_SESSION_TOKEN"),
                })
            }
            "local" => Ok(Self::Local {
                root: PathBuf::from(env.get("LOCAL_STORAGE_PATH").unwrap_or("./data/images")),
            }),
            other => Err(ConfigError::new(
                "STORAGE_PROVIDER",
                format!("{other:?} is not known to this release; set aws or local"),
            )),
        }
    }
}
