//! Reading the settings from the environment.

use std::path::PathBuf;

use runtime::{ConfigError, Env};

use crate::{AzureConfig, Encryption, S3Config, StoreConfig};

impl StoreConfig {
    /// `STORAGE_PROVIDER` (`aws`, `azure` or `local`, default `local`) and that provider's settings:
    /// `AWS_BUCKET_NAME AWS_REGION AWS_ENDPOINT_URL AWS_USE_PATH_STYLE_ENDPOINT AWS_ACCESS_KEY_ID
    /// AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_S3_SSE AWS_S3_SSE_KMS_KEY_ID`, those of
    /// [`AzureConfig`], or `LOCAL_STORAGE_PATH` (default `./data/images`).
    ///
    /// # Errors
    /// When one is missing or makes no sense.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        match env.get("STORAGE_PROVIDER").unwrap_or("local") {
            "aws" => S3Config::from_env(env).map(Self::S3),
            "azure" => AzureConfig::from_env(env).map(Self::Azure),
            "local" => Ok(Self::Local {
                root: PathBuf::from(env.get("LOCAL_STORAGE_PATH").unwrap_or("./data/images")),
            }),
            other => Err(ConfigError::new(
                "STORAGE_PROVIDER",
                format!("{other:?} is not known to this release; set aws, azure or local"),
            )),
        }
    }
}

impl S3Config {
    fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let id = env.get("AWS_ACCESS_KEY_ID").map(str::to_owned);
        let secret = env.secret("AWS_SECRET_ACCESS_KEY");
        if id.is_some() != secret.is_some() {
            return Err(ConfigError::new(
                "AWS_ACCESS_KEY_ID",
                "and AWS_SECRET_ACCESS_KEY must be set together, or neither (then the AWS default \
                 chain is asked: profile, web identity, ECS, EC2)",
            ));
        }
        let config = Self::new(
            env.require("AWS_BUCKET_NAME")?,
            env.get("AWS_REGION").unwrap_or("us-east-1"),
            env.parse("AWS_ENDPOINT_URL")?,
        );
        // The name is that of Laravel and others who have the same choice.
        let path_style = match env.get("AWS_USE_PATH_STYLE_ENDPOINT") {
            Some(_) => env.flag("AWS_USE_PATH_STYLE_ENDPOINT")?,
            None => config.path_style,
        };
        Ok(Self {
            path_style,
            access_key: id.zip(secret),
            session_token: env.secret("AWS_SESSION_TOKEN"),
            encryption: encryption(env)?,
            ..config
        })
    }
}

fn encryption(env: &Env) -> Result<Option<Encryption>, ConfigError> {
    let key = env.get("AWS_S3_SSE_KMS_KEY_ID").map(str::to_owned);
    match (env.get("AWS_S3_SSE"), key) {
        (None, None) => Ok(None),
        (Some("AES256"), None) => Ok(Some(Encryption::S3)),
        (Some("aws:kms"), key) => Ok(Some(Encryption::Kms(key))),
        (Some("AES256") | None, Some(_)) => Err(ConfigError::new(
            "AWS_S3_SSE",
            "must be aws:kms where AWS_S3_SSE_KMS_KEY_ID is set",
        )),
        (Some(_), _) => Err(ConfigError::new(
            "AWS_S3_SSE",
            "must be AES256 or aws:kms, or not set: then the bucket's own settings hold",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn s3(pairs: &[(&str, &str)]) -> Result<S3Config, ConfigError> {
        let fixed = [("STORAGE_PROVIDER", "aws"), ("AWS_BUCKET_NAME", "photos")];
        let env = Env::from_pairs(fixed.into_iter().chain(pairs.iter().copied()));
        StoreConfig::from_env(&env).map(|config| match config {
            StoreConfig::S3(config) => config,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_server_of_ones_own_is_addressed_by_path_unless_told_otherwise() {
        let endpoint = ("AWS_ENDPOINT_URL", "https://s3.example.com");
        assert!(!s3(&[]).unwrap().path_style);
        assert!(s3(&[endpoint]).unwrap().path_style);
        let host = ("AWS_USE_PATH_STYLE_ENDPOINT", "false");
        assert!(!s3(&[endpoint, host]).unwrap().path_style);
        assert!(StoreConfig::S3(s3(&[]).unwrap()).is_public_service());
        assert!(!StoreConfig::S3(s3(&[endpoint]).unwrap()).is_public_service());
    }

    #[test]
    fn encryption_is_what_s3_knows() {
        let kms = ("AWS_S3_SSE", "aws:kms");
        let key = ("AWS_S3_SSE_KMS_KEY_ID", "a-key");
        assert_eq!(s3(&[]).unwrap().encryption, None);
        assert_eq!(
            s3(&[("AWS_S3_SSE", "AES256")]).unwrap().encryption,
            Some(Encryption::S3)
        );
        assert_eq!(s3(&[kms]).unwrap().encryption, Some(Encryption::Kms(None)));
        assert_eq!(
            s3(&[kms, key]).unwrap().encryption,
            Some(Encryption::Kms(Some("a-key".to_owned())))
        );
        for wrong in [
            &[("AWS_S3_SSE", "aes")][..],
            &[key],
            &[("AWS_S3_SSE", "AES256"), key],
        ] {
            let error = s3(wrong).unwrap_err().to_string();
            assert!(error.contains("AWS_S3_SSE"), "{error}");
        }
    }
}
