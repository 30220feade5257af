//! What a command works on: the home of a local run, or a deployed stack. Either one opened gives the same.

use std::path::PathBuf;

use aws_clients::Secrets;
use aws_sdk_dynamodb::Client as DynamoDb;
use local::home::{CLIENT_SECRET_PREFIX, CONNECTION_SECRET_PREFIX, OpenHome, SIGNING_KEYS, STATE_KEY};
use local::store::{CONFIG_TABLE, LOYALTY_TABLE, ORDERS_TABLE, STATE_TABLE};
use local::{Home, HomeError};
use oauth_client::{Grants, SealingKeys};
use outbound::Fetcher;
use registry::{ClientSecrets, Registry, Revocations, SecretUses};

use crate::output::Failure;
use crate::stack::Stack;

/// Where a local run keeps its state unless told otherwise.
pub const DEFAULT_HOME: &str = ".northstar";

/// What the command line names, or the environment.
pub enum Place {
    /// A local run.
    Home(Home),
    /// A stack, by its name in CloudFormation.
    Stack(String),
}

/// A place whose tables and secrets can be reached.
pub struct Open {
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// Clients, servers, public keys.
    pub registry: Registry,
    /// Tokens that are refused.
    pub revocations: Revocations,
    /// When clients' secrets were used.
    pub secret_uses: SecretUses,
    /// The secrets.
    pub secrets: Secrets,
    /// What tables and secrets are called.
    pub names: Names,
    /// What is not the same.
    pub kind: Kind,
}

/// Names of tables and secrets.
#[derive(Clone, Debug)]
pub struct Names {
    /// Table of clients, servers and public keys.
    pub config_table: String,
    /// Table of revocations and uses of secrets.
    pub state_table: String,
    /// Table of orders.
    pub orders_table: String,
    /// Table of loyalty points.
    pub loyalty_table: String,
    /// Secret of the signing keys.
    pub signing_keys: String,
    /// Secret of the key that signs cursors.
    pub state_key: String,
    /// What the names of clients' secrets begin with.
    pub client_secret_prefix: String,
    /// What the names of the secrets of connections begin with.
    pub connection_secret_prefix: String,
}

/// Who rotates.
pub enum Kind {
    /// This process.
    Home(Box<OpenHome>),
    /// Secrets Manager, by the function `rotate`.
    Stack(Box<Stack>),
}

impl Place {
    /// What is named; the command line counts more than the environment (`NORTHSTAR_STACK`, `NORTHSTAR_HOME`).
    ///
    /// # Errors
    /// When a home and a stack are named at once.
    pub fn find(home: Option<PathBuf>, stack: Option<String>) -> Result<Place, Failure> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match (home, stack) {
            (None, None) => match (set("NORTHSTAR_HOME"), set("NORTHSTAR_STACK")) {
                (Some(_), Some(_)) => {
                    Err(usage("NORTHSTAR_HOME and NORTHSTAR_STACK are both set: say --home or --stack"))
                }
                (None, Some(stack)) => Place::stack(&stack.to_string_lossy()),
                (home, None) => Ok(Place::Home(Home::new(home.unwrap_or_else(|| DEFAULT_HOME.into())))),
            },
            (Some(home), None) => Ok(Place::Home(Home::new(home))),
            (None, Some(stack)) => Place::stack(&stack),
            (Some(_), Some(_)) => Err(usage("--home and --stack: a command works on one of them")),
        }
    }

    /// The home of a local run, for what cannot work on a stack.
    ///
    /// # Errors
    /// When the command line names a stack.
    pub fn home(home: Option<PathBuf>, stack: Option<String>) -> Result<Home, Failure> {
        if stack.is_some() {
            return Err(usage("serve runs on this machine, not on a --stack"));
        }
        let named = home.or_else(|| std::env::var_os("NORTHSTAR_HOME").filter(|home| !home.is_empty()).map(Into::into));
        Ok(Home::new(named.unwrap_or_else(|| DEFAULT_HOME.into())))
    }

    /// CloudFormation, API reference, DescribeStacks: what may name a stack, its ARN among it.
    fn stack(name: &str) -> Result<Place, Failure> {
        let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:/".contains(&byte));
        if valid { Ok(Place::Stack(name.to_owned())) } else { Err(usage("a stack has a name like northstar-eu")) }
    }

    /// Reaches its tables and secrets.
    ///
    /// # Errors
    /// When the home cannot be opened, or there is no such stack.
    pub async fn open(&self) -> Result<Open, Failure> {
        match self {
            Place::Home(home) => Ok(Open::home(home).await?),
            Place::Stack(name) => Ok(Stack::find(name).await?.open()),
        }
    }
}

impl Open {
    async fn home(home: &Home) -> Result<Open, HomeError> {
        let home = Box::pin(home.open()).await?;
        Ok(Open {
            dynamodb: home.aws.dynamodb.clone(),
            registry: home.registry.clone(),
            revocations: Revocations::new(home.aws.dynamodb.clone(), STATE_TABLE),
            secret_uses: home.secret_uses.clone(),
            secrets: home.secrets.clone(),
            names: Names {
                config_table: CONFIG_TABLE.to_owned(),
                state_table: STATE_TABLE.to_owned(),
                orders_table: ORDERS_TABLE.to_owned(),
                loyalty_table: LOYALTY_TABLE.to_owned(),
                signing_keys: SIGNING_KEYS.to_owned(),
                state_key: STATE_KEY.to_owned(),
                client_secret_prefix: CLIENT_SECRET_PREFIX.to_owned(),
                connection_secret_prefix: CONNECTION_SECRET_PREFIX.to_owned(),
            },
            kind: Kind::Home(Box::new(home)),
        })
    }

    /// What may be asked beside AWS: of a local run, this machine too.
    pub fn fetcher(&self) -> Fetcher {
        match &self.kind {
            Kind::Home(_) => Fetcher::with_loopback(None),
            Kind::Stack(_) => Fetcher::new(),
        }
    }

    /// The grants of connections. Those of a stack are sealed under its KMS key, with the user's own credentials.
    ///
    /// # Errors
    /// When the AWS environment has no credentials.
    pub async fn grants(&self) -> Result<Grants, Failure> {
        self.grants_through(self.fetcher()).await
    }

    /// The same, with authorization servers asked through `fetcher`.
    ///
    /// # Errors
    /// As [`Open::grants`].
    pub async fn grants_through(&self, fetcher: Fetcher) -> Result<Grants, Failure> {
        let keys = match &self.kind {
            Kind::Home(_) => SealingKeys::Local(self.secrets.clone()),
            Kind::Stack(stack) => SealingKeys::Kms { kms: stack.kms().await?, key_id: stack.grant_key.clone() },
        };
        let (dynamodb, state_table) = (self.dynamodb.clone(), &self.names.state_table);
        Ok(Grants::new(dynamodb, state_table, keys, self.secrets.clone(), fetcher))
    }

    /// The secrets of clients, to change them.
    pub fn client_secrets(&self) -> ClientSecrets<'_> {
        ClientSecrets { registry: &self.registry, revocations: &self.revocations, secrets: &self.secrets }
    }
}

fn usage(message: &str) -> Failure {
    Failure::Usage(message.to_owned())
}
