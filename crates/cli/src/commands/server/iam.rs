//! `northstar server iam`: what the role of the function `mcp` has to be allowed, so that the lookups of a file can read
//! and nothing more.
//!
//! A call may name the attributes of its statement and no others (`dynamodb:Attributes`). DynamoDB counts among them the
//! keys of the table and of the index that is asked (developer guide, "Using IAM policy conditions for fine-grained access
//! control").

use std::path::PathBuf;

use catalogue::Lookup;
use clap::Args;
use registry::{Server, ToolDefinition};
use serde_json::{Value, json};

use super::{read, refused, tables};
use crate::output::{self, Failure};
use crate::place::{Kind, Open, Place};

/// See the fields' help.
#[derive(Args)]
pub struct Options {
    /// The definitions: YAML or JSON
    file: PathBuf,
    /// Region of the tables, for example eu-central-1; a stack knows its own
    #[arg(long, value_name = "REGION", value_parser = region)]
    region: Option<String>,
    /// Account of the tables; a stack knows its own
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    account: Option<String>,
}

fn region(text: &str) -> Result<String, &'static str> {
    let valid = text.contains('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    valid.then(|| text.to_owned()).ok_or("a region is like eu-central-1")
}

fn account(text: &str) -> Result<String, &'static str> {
    let valid = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.to_owned()).ok_or("an account is 12 digits")
}

/// Where tables are, as their ARNs say it; what is not known is a pseudo parameter of CloudFormation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    partition: String,
    region: String,
    account: String,
}

/// What one lookup does to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Access {
    tool: String,
    query: bool,
    /// Its name in the definition.
    defined: String,
    /// Its name in its account.
    table: String,
    index: Option<String>,
    attributes: Vec<String>,
}

/// Prints the policy.
pub async fn run(place: &Place, json: bool, options: Options) -> Result<(), Failure> {
    let document = read(&options.file)?;
    let (accesses, account) = match place {
        Place::Stack(_) if options.region.is_some() || options.account.is_some() => {
            let message = "--region and --account: a stack knows where it is, leave them out";
            return Err(Failure::Usage(message.to_owned()));
        }
        Place::Stack(_) => {
            let open = place.open().await?;
            let servers = tables::resolve(&open, &document).await?.map_err(|all| refused(&options.file, &all))?;
            let account = Account::of_stack(&open)?;
            (accesses(&servers, |table| tables::table_name(&open.names, table).to_owned()), account)
        }
        Place::Home(home) => {
            // A policy can be made before there is anything.
            let open = if home.file("northstar.db").exists() { Some(place.open().await?) } else { None };
            let mut servers = document.servers().to_vec();
            find_positions(open.as_ref(), &mut servers).await?;
            (accesses(&servers, table_of_template), Account::given(options.region, options.account))
        }
    };
    let (covered, needed): (Vec<Access>, Vec<Access>) = accesses.into_iter().partition(Access::is_covered);
    let policy = policy(&needed, &account);
    if json {
        output::json(&policy)?;
    } else {
        print(&policy, &needed, &account)?;
    }
    if !covered.is_empty() {
        let names: Vec<&str> = covered.iter().map(|access| access.tool.as_str()).collect();
        eprintln!("Left out, because the stack's role covers its own orders and loyalty points: {}", names.join(", "));
    }
    Ok(())
}

/// What `orders` and `loyalty` are called in the template.
fn table_of_template(table: &str) -> String {
    match table {
        "orders" | "loyalty" => format!("${{AWS::StackName}}-{table}"),
        table => table.to_owned(),
    }
}

/// From the tables of a local run where it has them; else the keys are those that the file names.
async fn find_positions(open: Option<&Open>, servers: &mut [Server]) -> Result<(), Failure> {
    for tool in servers.iter_mut().flat_map(|server| &mut server.tools) {
        let ToolDefinition::Lookup(lookup) = tool else { continue };
        let shape = match open {
            Some(open) => tables::describe(open, tables::table_name(&open.names, &lookup.table)).await?,
            None => None,
        };
        lookup.position = match shape {
            Some(shape) => tables::position(lookup, &shape),
            None => {
                let keys: Vec<&str> = lookup.key.keys().chain(lookup.sort.keys()).map(String::as_str).collect();
                let (name, table, keys) = (&lookup.name, &lookup.table, keys.join(" and "));
                eprintln!(
                    "{}",
                    match &lookup.index {
                        None => format!("{name}: the table {table} is not here: its key is taken to be {keys}"),
                        Some(index) => format!(
                            "{name}: the table {table} is not here: the key of its index {index} is taken to be {keys}; add the \
                         attributes of the table's own key, or ask with --stack"
                        ),
                    }
                );
                lookup.key.keys().chain(lookup.sort.keys()).cloned().collect()
            }
        };
    }
    Ok(())
}

fn accesses(servers: &[Server], table: impl Fn(&str) -> String) -> Vec<Access> {
    let tools = servers.iter().flat_map(|server| &server.tools);
    let lookups = tools.filter_map(|tool| match tool {
        ToolDefinition::Lookup(lookup) => Some(lookup),
        ToolDefinition::Shipped(_) => None,
    });
    let mut accesses: Vec<Access> = Vec::new();
    for lookup in lookups {
        let access = Access {
            tool: lookup.name.clone(),
            query: lookup.is_query(),
            defined: lookup.table.clone(),
            table: table(&lookup.table),
            index: lookup.index.clone(),
            attributes: attributes(lookup),
        };
        // The same tool on several servers.
        if !accesses.contains(&access) {
            accesses.push(access);
        }
    }
    accesses
}

/// Every attribute that a call names, each once.
fn attributes(lookup: &Lookup) -> Vec<String> {
    let asked = lookup.key.keys().chain(lookup.sort.keys()).chain(lookup.filter.keys()).chain(&lookup.position);
    let mut attributes: Vec<String> = Vec::new();
    for attribute in asked.map(String::as_str).chain(lookup.attributes()) {
        if !attributes.iter().any(|known| known == attribute) {
            attributes.push(attribute.to_owned());
        }
    }
    attributes
}

impl Access {
    /// Whether the role of the template may do it (`infra/sam/template.yaml`, Records and OrdersOfACustomer).
    fn is_covered(&self) -> bool {
        match (self.defined.as_str(), &self.index) {
            ("orders" | "loyalty", None) => !self.query,
            ("orders", Some(index)) => index == "by_customer",
            _ => false,
        }
    }

    fn arn(&self, account: &Account) -> String {
        let Account { partition, region, account } = account;
        let table = format!("arn:{partition}:dynamodb:{region}:{account}:table/{}", self.table);
        match &self.index {
            None => table,
            Some(index) => format!("{table}/index/{index}"),
        }
    }

    fn statement(&self, sid: &str, account: &Account) -> Value {
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Action": if self.query { "dynamodb:Query" } else { "dynamodb:GetItem" },
            "Resource": self.arn(account),
            "Condition": {
                "ForAllValues:StringEquals": { "dynamodb:Attributes": self.attributes },
                // ForAllValues is true of a call that names no attribute, and reads all of them.
                "StringEqualsIfExists": { "dynamodb:Select": "SPECIFIC_ATTRIBUTES" },
            },
        })
    }
}

fn policy(accesses: &[Access], account: &Account) -> Value {
    let mut sids: Vec<String> = Vec::new();
    let statements: Vec<Value> = accesses
        .iter()
        .map(|access| {
            let name = camel_case(&access.tool);
            let same = sids.iter().filter(|sid| **sid == name).count();
            let sid = if same == 0 { name.clone() } else { format!("{name}{}", same + 1) };
            sids.push(name);
            access.statement(&sid, account)
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// `get_warranty` is `GetWarranty`: a Sid has letters and digits only.
fn camel_case(tool: &str) -> String {
    let words = tool.split(|character: char| !character.is_ascii_alphanumeric()).map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect()
}

impl Account {
    fn given(region: Option<String>, account: Option<String>) -> Account {
        let partition = match region.as_deref() {
            None => "${AWS::Partition}",
            Some(region) if region.starts_with("cn-") => "aws-cn",
            Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
            Some(_) => "aws",
        };
        Account {
            partition: partition.to_owned(),
            region: region.unwrap_or_else(|| "${AWS::Region}".to_owned()),
            account: account.unwrap_or_else(|| "${AWS::AccountId}".to_owned()),
        }
    }

    /// By the ARN of one of its functions.
    fn of_stack(open: &Open) -> Result<Account, Failure> {
        let Kind::Stack(stack) = &open.kind else { return Ok(Account::given(None, None)) };
        let parts: Vec<&str> = stack.rotate_function.split(':').collect();
        match parts[..] {
            ["arn", partition, "lambda", region, account, ..] => {
                Ok(Account { partition: partition.to_owned(), region: region.to_owned(), account: account.to_owned() })
            }
            _ => Err(Failure::Message(format!("{} is no ARN of a function", stack.rotate_function))),
        }
    }

    fn is_known(&self) -> bool {
        ![&self.partition, &self.region, &self.account].iter().any(|part| part.contains('$'))
    }
}

fn print(policy: &Value, needed: &[Access], account: &Account) -> Result<(), Failure> {
    if needed.is_empty() {
        return output::line("no statement is needed");
    }
    output::json(policy)?;
    if !account.is_known() {
        eprintln!("With --stack NAME, or --region and --account, the parameters of the template are printed too.");
        return Ok(());
    }
    let arns = |query: bool| {
        let queried = needed.iter().filter(|access| access.query == query);
        let mut arns: Vec<String> = queried.map(|access| access.arn(account)).collect();
        arns.sort();
        arns.dedup();
        arns.join(",")
    };
    eprintln!(
        "Make a managed policy of it, whose ARN is the stack's parameter LookupPolicyArn; or, for all attributes:"
    );
    output::line("")?;
    output::line(&format!("LookupTables={}", arns(false)))?;
    output::line(&format!("LookupIndexes={}", arns(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accesses_of(tools: Value) -> Vec<Access> {
        let server = json!({ "name": "test", "title": "Test", "tools": tools });
        accesses(&[serde_json::from_value(server).unwrap()], table_of_template)
    }

    #[test]
    fn a_statement_names_what_a_call_names_and_nothing_else() {
        let argument = json!({ "title": "T", "description": "D" });
        let accesses = accesses_of(json!([
            "get_order_status",
            {
                "lookup": "get_warranty", "table": "warranties", "key": { "serial": argument },
                "returns": { "product": "string", "valid_until": "string" }, "rename": { "validTo": "valid_until" },
                "position": ["serial"],
            },
            {
                "lookup": "list_warranties", "table": "warranties", "index": "by_owner", "key": { "owner": argument },
                "filter": { "state": argument }, "page": 10, "returns": { "serial": "string" },
                "position": ["serial", "owner", "bought"],
            },
        ]));
        let account = Account::given(Some("eu-central-1".to_owned()), Some("111122223333".to_owned()));
        assert_eq!(
            policy(&accesses, &account),
            json!({
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "GetWarranty",
                        "Effect": "Allow",
                        "Action": "dynamodb:GetItem",
                        "Resource": "arn:aws:dynamodb:eu-central-1:111122223333:table/warranties",
                        "Condition": {
                            "ForAllValues:StringEquals": { "dynamodb:Attributes": ["serial", "product", "validTo"] },
                            "StringEqualsIfExists": { "dynamodb:Select": "SPECIFIC_ATTRIBUTES" },
                        },
                    },
                    {
                        "Sid": "ListWarranties",
                        "Effect": "Allow",
                        "Action": "dynamodb:Query",
                        "Resource": "arn:aws:dynamodb:eu-central-1:111122223333:table/warranties/index/by_owner",
                        "Condition": {
                            "ForAllValues:StringEquals": {
                                "dynamodb:Attributes": ["owner", "state", "serial", "bought"],
                            },
                            "StringEqualsIfExists": { "dynamodb:Select": "SPECIFIC_ATTRIBUTES" },
                        },
                    },
                ],
            })
        );
    }

    #[test]
    fn what_the_role_covers_is_known() {
        let of = |more: Value| {
            let mut lookup = json!({
                "lookup": "l", "table": "orders", "key": { "k": { "title": "T", "description": "D" } }, "returns": {},
            });
            lookup.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            accesses_of(json!([lookup])).remove(0)
        };
        for (more, covered) in [
            (json!({}), true),
            (json!({ "table": "loyalty" }), true),
            (json!({ "index": "by_customer", "page": 5 }), true),
            (json!({ "page": 5 }), false),
            (json!({ "index": "by_state" }), false),
            (json!({ "table": "loyalty", "index": "by_customer" }), false),
            (json!({ "table": "warranties" }), false),
        ] {
            assert_eq!(of(more.clone()).is_covered(), covered, "{more}");
        }
        let account = Account::given(None, None);
        assert!(!account.is_known());
        assert_eq!(
            of(json!({ "page": 5 })).arn(&account),
            "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${AWS::StackName}-orders"
        );
    }
}
