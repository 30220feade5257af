//! The tools over Salesforce: which of them runs, with what session. Arguments are checked against the org's own
//! description of its objects and against the guard of the server before anything is sent.

pub mod answers;
pub mod bulk;
pub mod csv_rows;
pub mod describing;
pub mod guarding;
pub mod orgs;
pub mod querying;
pub mod reports;
pub mod session;
pub mod several;
pub mod steps;
pub mod writing;

use std::sync::Arc;

use catalogue::SalesforceTool;

use crate::arguments::Arguments;
use crate::catalogue::{Answer, Call, Trouble};

use session::Session;

/// Runs a tool.
///
/// # Errors
/// [`Trouble`], in words that the model can act on.
pub async fn run(tool: SalesforceTool, arguments: &Arguments, call: &Arc<Call>) -> Result<Answer, Trouble> {
    use SalesforceTool::*;
    let session = Session::open(tool, arguments, call).await?;
    match tool {
        GetRecord | Get(_) => querying::get(&session).await,
        ExecuteQuery | ExecuteQueryAll => querying::query(&session).await,
        ExecuteSearch => querying::search(&session).await,
        List(typed) => querying::list(&session, typed).await,
        ListAllObjects => describing::objects(&session).await,
        DescribeObject => describing::object(&session).await,
        GetOrganizationLimits => describing::limits(&session).await,
        ListReports => reports::list(&session).await,
        GetReport => reports::run(&session).await,
        CreateRecord | Create(_) => writing::create(&session).await,
        UpdateRecord | Update(_) => writing::update(&session).await,
        DeleteRecord | Delete(_) => writing::delete(&session).await,
        ExecuteComposite => several::composite(&session).await,
        ExecuteBatch => several::batch(&session).await,
        CreateBulkJob => bulk::create(&session).await,
        GetBulkJob => bulk::get(&session).await,
        GetBulkJobResults => bulk::results(&session).await,
        AbortBulkJob => bulk::abort(&session).await,
    }
}
