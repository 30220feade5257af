//! The business tables: what they are called, and what signs the cursors of lists over them.

use aws_sdk_dynamodb::Client as DynamoDb;

use crate::config::Config;
use crate::cursor::Cursors;

/// The business tables.
pub struct Tables {
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// Signs and reads the cursors of lists.
    pub cursors: Cursors,
    orders: String,
    loyalty: String,
}

impl Tables {
    /// The tables that the configuration names.
    pub fn new(config: &Config, cursors: Cursors) -> Tables {
        Tables {
            dynamodb: config.aws.dynamodb.clone(),
            orders: config.orders_table.clone(),
            loyalty: config.loyalty_table.clone(),
            cursors,
        }
    }

    /// What a table of a definition is called: `orders` and `loyalty` are the stack's own, any other name is its own.
    pub fn table<'a>(&'a self, name: &'a str) -> &'a str {
        match name {
            "orders" => &self.orders,
            "loyalty" => &self.loyalty,
            name => name,
        }
    }
}
