//! `streamfleet state export` and `import`: a task's store as one file, and back.
//!
//! Not here: the file ([`processing_core::snapshot`]). Invariant: a store is neither read nor made while a worker has its
//! folder.

use std::path::PathBuf;

use ::state::TaskName;
use clap::{Args, Subcommand};
use processing_core::control;
use processing_core::error::CoreError;
use processing_core::plan::Plan;
use processing_core::service::settings::Sources;
use processing_core::service::settings::flags::Line;
use processing_core::snapshot::{self, Snapshot, Wanted};

use crate::describe::plan_by;
use crate::door;
use crate::folder::DataFolder;

#[derive(Subcommand)]
pub(crate) enum Snapshots {
    /// Write the store of a task that no worker has open into a file
    Export {
        #[command(flatten)]
        whose: Whose,
    },
    /// Make a task's store of a file, where it has none: its worker goes on from there
    Import {
        #[command(flatten)]
        whose: Whose,
        /// The state epoch that the worker works in; without it, what the log of this machine says, else 0
        #[arg(long, value_name = "NUMBER")]
        epoch: Option<u32>,
    },
}

#[derive(Args)]
pub(crate) struct Whose {
    /// The worker: trending-cities, llm-rollups, engagement-metrics or model-performance
    worker: String,
    /// The task, as sub-topology and partition: 0_3
    task: TaskName,
    /// The file
    file: PathBuf,
    #[command(flatten)]
    data: DataFolder,
    /// The worker's state.dir; without it, the one in the data folder
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// What goes before the application's id, as KAFKA_GROUP_ID
    #[arg(long, value_name = "NAME")]
    group_id: Option<String>,
    /// The worker's settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Snapshots {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        match self {
            Self::Export { whose } => {
                let (state_dir, plan) = (whose.state_dir()?, whose.plan()?);
                let done = snapshot::export(&state_dir, plan.name(), whose.task, &whose.file)?;
                eprintln!("{} is in {}", told(&done), whose.file.display());
            }
            Self::Import { whose, epoch } => {
                let (state_dir, plan) = (whose.state_dir()?, whose.plan()?);
                let epoch = match epoch {
                    Some(epoch) => epoch,
                    None => whose.epoch(&plan)?.unwrap_or_default(),
                };
                let wanted = Wanted { plan: &plan, task: whose.task, epoch };
                let done = snapshot::import(&state_dir, wanted, &whose.file)?;
                eprintln!("{} is in {}", told(&done), state_dir.display());
            }
        }
        Ok(())
    }
}

impl Whose {
    fn state_dir(&self) -> Result<PathBuf, CoreError> {
        match &self.state_dir {
            Some(given) => Ok(given.clone()),
            None => Ok(self.data.path()?.join("state")),
        }
    }

    fn plan(&self) -> Result<Plan, CoreError> {
        let flags = self.group_id.iter().map(|prefix| ("application.prefix".to_owned(), prefix.clone()));
        let line = Line { file: self.config.clone(), data: None, flags: flags.collect() };
        plan_by(&self.worker, &Sources::from_process(line)).map(|(plan, _)| plan)
    }

    /// What the log of this machine says, where there is one and somebody has set it.
    fn epoch(&self, plan: &Plan) -> Result<Option<u32>, CoreError> {
        let folder = self.data.log()?;
        if !folder.is_dir() {
            return Ok(None);
        }
        let log = door::beside(&folder)?;
        control::epoch_in(&mut *log.admin(), &mut *log.reader(), plan.name())
    }
}

fn told(snapshot: &Snapshot) -> String {
    let Snapshot { application, task, commit, epoch, rows } = snapshot;
    format!("the store of {application}, task {task}, at commit {commit} of state epoch {epoch}, with {rows} rows,")
}
