//! A deployed stack: what its outputs in CloudFormation say, and clients of AWS with the user's own credentials.

use std::collections::HashMap;

use aws_clients::clients::optional;
use aws_clients::{AwsSettings, Secrets};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_secretsmanager::Client as SecretsManager;
use oauth_client::Kms;
use registry::{Registry, Revocations, SecretUses};

use crate::output::Failure;
use crate::place::{Kind, Names, Open};

/// A stack that is there.
pub struct Stack {
    /// As it was named.
    pub name: String,
    /// Issuer and base of every URL.
    pub public_url: String,
    /// The function that rotates secrets.
    pub rotate_function: String,
    /// Where the functions write their lines.
    pub log_groups: Vec<String>,
    /// The KMS key that grants are sealed under.
    pub grant_key: String,
    names: Names,
    aws: SdkConfig,
}

impl Stack {
    /// Reads the outputs of a stack.
    ///
    /// # Errors
    /// When there is no such stack, it is not ours, or CloudFormation does not answer or refuses.
    pub async fn find(name: &str) -> Result<Stack, Failure> {
        let aws = aws_config().await?;
        let request = CloudFormation::new(&aws).describe_stacks().stack_name(name);
        let described = Box::pin(request.send()).await.map_err(|error| {
            // There is no code of its own for it.
            let unknown = error.code() == Some("ValidationError")
                && error.message().is_some_and(|message| message.contains("does not exist"));
            let region = aws.region().map_or("this region", |region| region.as_ref());
            match Failure::from(error) {
                _ if unknown => Failure::Message(format!(
                    "there is no stack {name} in {region} with these credentials: deploy it with make deploy, or set AWS_REGION or AWS_PROFILE"
                )),
                Failure::Message(message) => Failure::Message(format!("stack {name}: {message}")),
                other => other,
            }
        })?;
        let outputs =
            described.stacks.unwrap_or_default().into_iter().flat_map(|stack| stack.outputs.unwrap_or_default());
        let outputs = outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect();
        Stack::new(name, &outputs, aws)
    }

    fn new(name: &str, outputs: &HashMap<String, String>, aws: SdkConfig) -> Result<Stack, Failure> {
        let output = |key: &str| {
            outputs.get(key).cloned().ok_or_else(|| {
                Failure::Message(format!(
                    "the stack {name} has no output {key}: it is not Northstar's, it was not deployed to its end, or it is older than this command"
                ))
            })
        };
        Ok(Stack {
            name: name.to_owned(),
            public_url: output("PublicUrl")?,
            rotate_function: output("RotateFunctionArn")?,
            log_groups: vec![
                output("TokenLogGroupName")?,
                output("McpLogGroupName")?,
                output("ConnectLogGroupName")?,
                output("RotateLogGroupName")?,
            ],
            grant_key: output("GrantKeyArn")?,
            names: Names {
                config_table: output("ConfigTableName")?,
                state_table: output("StateTableName")?,
                orders_table: output("OrdersTableName")?,
                loyalty_table: output("LoyaltyTableName")?,
                signing_keys: output("SigningKeysSecretName")?,
                state_key: output("StateKeySecretName")?,
                client_secret_prefix: output("ClientSecretPrefix")?,
                connection_secret_prefix: output("ConnectionSecretPrefix")?,
            },
            aws,
        })
    }

    /// KMS, with the user's own credentials.
    ///
    /// # Errors
    /// When the AWS environment has no credentials, or names a file of certificates that cannot be read.
    pub async fn kms(&self) -> Result<Kms, Failure> {
        let none = || Failure::Message("the AWS environment has no credentials: set AWS_PROFILE, or log in".to_owned());
        let provider = self.aws.credentials_provider().ok_or_else(none)?;
        let settings = AwsSettings {
            region: self.aws.region().map(ToString::to_string).unwrap_or_default(),
            credentials: provider.provide_credentials().await?,
            dynamodb_url: None,
            secrets_manager_url: None,
            ca_bundle: optional("AWS_CA_BUNDLE").map(std::fs::read_to_string).transpose()?,
        };
        Ok(Kms::new(&settings, optional("AWS_ENDPOINT_URL_KMS").or_else(|| optional("AWS_ENDPOINT_URL"))))
    }

    /// Reaches its tables and secrets; nothing is asked yet.
    pub fn open(self) -> Open {
        let dynamodb = DynamoDb::new(&self.aws);
        Open {
            registry: Registry::new(dynamodb.clone(), &self.names.config_table),
            revocations: Revocations::new(dynamodb.clone(), &self.names.state_table),
            secret_uses: SecretUses::new(dynamodb.clone(), &self.names.state_table),
            secrets: Secrets::from(SecretsManager::new(&self.aws)),
            names: self.names.clone(),
            dynamodb,
            kind: Kind::Stack(Box::new(self)),
        }
    }
}

/// Credentials, region and endpoints of the AWS environment.
///
/// # Errors
/// When that names no region.
pub async fn aws_config() -> Result<SdkConfig, Failure> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    if config.region().is_none_or(|region| region.as_ref().is_empty()) {
        let message = "the AWS environment names no region: set AWS_REGION, or AWS_PROFILE to a profile that has one";
        return Err(Failure::Message(message.to_owned()));
    }
    Ok(config)
}
