//! The way into a log: through the process that holds it, or by holding it oneself.
//!
//! Not here: the holder's side ([`crate::demo`]). Invariant: records come in exactly once as a whole or
//! the command says that it does not know: a broken connection is never tried again by itself.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use processing_core::batch::RecordBatch;
use processing_core::clock::{Clock as _, SystemClock};
use processing_core::error::CoreError;
use processing_core::log::embedded::{EmbeddedLog, EmbeddedOptions, EmbeddedReaderProcess};
use processing_core::log::{
    Cleanup, GroupMetadata, Log as _, LogError, Publish, TopicInfo, TopicSettings, TransactionalId, partition_for_key,
};
use processing_core::record::{LogTime, Partition, TopicName, TopicPartition};
use state::MemoryBudget;

use crate::folder::{AddressNote, Holder};
use crate::record_line::RecordLine;

/// The route of the holder's port that takes records, with the topic behind it.
pub(crate) const ROUTE: &str = "/v1/publish/";
/// The header that names the log by its incarnation, in base 16. Without it the route takes nothing: a web page
/// in somebody's browser cannot send it. With another log's the answer is [`MISDIRECTED`].
pub(crate) const HEADER: &str = "x-streamfleet-publish";
/// The status that says that this port is another log's.
pub(crate) const MISDIRECTED: u16 = 421;
/// The transactional id of published records.
const PRODUCER: &str = "streamfleet-publish";
/// Partitions of a topic that is made by the first record sent to it.
pub(crate) const PARTITIONS: u32 = 2;
/// Bytes of lines that are sent at once.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// Opens the log for this process alone, within the memory of `budget` where there are stores beside it.
pub(crate) fn open(folder: &Path, budget: Option<&MemoryBudget>) -> Result<Arc<EmbeddedLog>, CoreError> {
    let clock = SystemClock::new();
    let mut options = EmbeddedOptions::new(Arc::new(move || LogTime(clock.now().0)));
    options.store.budget = budget.cloned();
    let log = EmbeddedLog::open(folder, options)?;
    AddressNote::forget(folder)?;
    Ok(log)
}

/// Opens the log to read beside whoever holds it.
pub(crate) fn beside(folder: &Path) -> Result<EmbeddedReaderProcess, CoreError> {
    clear_scratch(&std::env::temp_dir(), Path::new("/proc"));
    Ok(EmbeddedReaderProcess::open(folder)?)
}

/// Removes the scratch folders of readers that were killed. Where `processes` does not list those that live, as
/// on macOS, nobody knows, and they are left to the system.
fn clear_scratch(temporary: &Path, processes: &Path) {
    if !processes.join("self").exists() {
        return;
    }
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let reader = name.to_str().and_then(|name| name.strip_prefix("streamfleet-read-")?.split_once('-'));
        let process = reader.and_then(|(process, _)| process.parse::<u32>().ok());
        if process.is_some_and(|process| !processes.join(process.to_string()).exists()) {
            // Another user's is not ours to remove.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// The door as it stands.
pub(crate) enum Door {
    /// This process holds the log.
    Own(Arc<EmbeddedLog>),
    /// Another one does, and takes records here.
    Through {
        /// Who, as the folder says.
        holder: Holder,
        /// The log's own word on why this process cannot hold it.
        held: CoreError,
    },
}

impl Door {
    /// Holds the log in `folder`, or finds who does.
    pub(crate) fn find(folder: &Path) -> Result<Self, CoreError> {
        match open(folder, None) {
            Ok(log) => Ok(Self::Own(log)),
            Err(held) => match AddressNote::find(folder)? {
                Some(holder) => Ok(Self::Through { holder, held }),
                None => Err(held),
            },
        }
    }

    /// Sends records to `topic`, all of them or none.
    pub(crate) fn send(&self, topic: &TopicName, lines: &[RecordLine]) -> Result<(), CoreError> {
        match self {
            Self::Own(log) => append(log, topic, lines, LogTime(SystemClock::new().now().0)),
            Self::Through { holder, held } => post(holder, held, topic, lines),
        }
    }
}

/// Appends records, all of them or none, with their own timestamps or else `now`, where Java's partitioner would
/// put them.
pub(crate) fn append(
    log: &EmbeddedLog,
    topic: &TopicName,
    lines: &[RecordLine],
    now: LogTime,
) -> Result<(), CoreError> {
    // A second producer of one name would fence the first.
    static PUBLISHING: Mutex<()> = Mutex::new(());
    let _alone = PUBLISHING.lock().unwrap_or_else(PoisonError::into_inner);
    let info = topic_for(log, topic)?;
    let mut batches = vec![RecordBatch::new(); info.settings.partitions as usize];
    for (number, line) in lines.iter().enumerate() {
        let partition = match &line.key {
            Some(key) => partition_for_key(key.bytes(), info.settings.partitions),
            None => Partition(number as u32 % info.settings.partitions),
        };
        if let Some(batch) = batches.get_mut(partition.0 as usize) {
            line.push(now, batch);
        }
    }
    let mut producer = log.transaction(&TransactionalId(PRODUCER.to_owned()))?;
    for (partition, batch) in batches.iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
        producer.send(&TopicPartition::new(topic.clone(), partition as u32), batch)?;
    }
    // No positions of a group: this transaction reads nothing.
    let nobody = GroupMetadata::nobody();
    match producer.publish(&[], &nobody) {
        Publish::Published(_) => Ok(()),
        Publish::Aborted(why) => Err(LogError::Fatal(why).into()),
        Publish::Refused(error) => Err(error.into()),
        Publish::Fenced(why) => Err(LogError::Fenced(why).into()),
        Publish::Ambiguous(why) => {
            // Who takes its place is told by the log's own error what is wrong, such as a full disk.
            drop(log.transaction(&TransactionalId(PRODUCER.to_owned()))?);
            Err(LogError::Fatal(format!("nobody knows whether {} are in the log: {why}", records(lines.len() as u64)))
                .into())
        }
    }
}

fn topic_for(log: &EmbeddedLog, topic: &TopicName) -> Result<TopicInfo, LogError> {
    let mut admin = log.admin()?;
    match admin.topic(topic)? {
        Some(info) => Ok(info),
        None => {
            let settings = TopicSettings {
                partitions: PARTITIONS,
                cleanup: Cleanup::Delete,
                retention_ms: None,
                log_append_time: false,
            };
            admin.create_topic(topic, settings)
        }
    }
}

/// One request by hand: a client library would be larger than this whole command.
fn post(holder: &Holder, held: &CoreError, topic: &TopicName, lines: &[RecordLine]) -> Result<(), CoreError> {
    let Holder { address, incarnation } = *holder;
    let broken = |error: std::io::Error| {
        CoreError::config(format!(
            "the process that holds the log does not answer on {address}: {error}; nothing of the next {} was sent: \
             if it was just stopped, publish them again",
            records(lines.len() as u64)
        ))
    };
    let unknown = |error: std::io::Error| {
        CoreError::config(format!(
            "the process that holds the log broke off on {address}: {error}; nobody knows whether the next {} are in \
             the log, all or none: look with `streamfleet read` before they are published again",
            records(lines.len() as u64)
        ))
    };
    let mut body = Vec::new();
    for line in lines {
        line.write(&mut body)?;
    }
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(broken)?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(broken)?;
    let head = format!(
        "POST {ROUTE}{topic} HTTP/1.1\r\nhost: {address}\r\n{HEADER}: {incarnation:032x}\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).map_err(unknown)?;
    let mut answer = BufReader::new(stream.take(64 << 10));
    let mut status = String::new();
    if answer.read_line(&mut status).map_err(unknown)? == 0 {
        return Err(unknown(std::io::ErrorKind::UnexpectedEof.into()));
    }
    let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    if code == Some(200_u16) {
        return Ok(());
    }
    if code == Some(MISDIRECTED) {
        return Err(CoreError::config(format!(
            "{held}. It takes no records: {address}, which a note in its folder names, belongs to another log by now"
        )));
    }
    let mut rest = String::new();
    answer.read_to_string(&mut rest).map_err(unknown)?;
    let words = rest.split_once("\r\n\r\n").map_or(rest.as_str(), |(_, body)| body);
    Err(CoreError::config(format!("{address} did not take the records: {} {}", status.trim(), words.trim())))
}

/// A topic's name, refused before anything is opened or sent where no log would take it.
pub(crate) fn topic_name(text: &str) -> Result<TopicName, CoreError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=249).contains(&text.len()) && !matches!(text, "." | "..") && text.chars().all(legal) {
        return Ok(TopicName::new(text));
    }
    Err(CoreError::Usage(format!("`{text}` cannot name a topic: it takes 1 to 249 of a-z A-Z 0-9 . _ -")))
}

/// `1 record`, `2 records`.
pub(crate) fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

/// The log's folder, with a word where there is none.
pub(crate) fn existing(folder: PathBuf) -> Result<PathBuf, CoreError> {
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(CoreError::Usage(format!(
        "there is no log in {}; start `streamfleet demo` first, or name its folder with --data",
        folder.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_does_not_come_is_not_taken_for_a_refusal() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = Holder { address: listener.local_addr().unwrap(), incarnation: 7 };
        let lines = [RecordLine::default(), RecordLine::default()];
        let send = || post(&holder, &CoreError::config("held"), &TopicName::new("t"), &lines).unwrap_err().to_string();
        let breaks_off = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 16];
            stream.read_exact(&mut head).unwrap();
        });
        let told = send();
        assert!(told.contains("nobody knows whether the next 2 records are in the log"), "{told}");
        breaks_off.join().unwrap();
        let told = send();
        assert!(told.contains("nothing of the next 2 records was sent"), "{told}");
    }

    #[test]
    fn scratch_folders_of_dead_readers_alone_are_removed() {
        let folder = std::env::temp_dir().join(format!("streamfleet-scratch-{}", std::process::id()));
        let (temporary, processes) = (folder.join("tmp"), folder.join("proc"));
        let names = ["streamfleet-read-7-0", "streamfleet-read-8-0", "streamfleet-read-x-0", "other-8-0"];
        for name in names {
            std::fs::create_dir_all(temporary.join(name).join("rows")).unwrap();
        }
        let left = || names.map(|name| temporary.join(name).exists());
        clear_scratch(&temporary, &processes);
        assert_eq!(left(), [true; 4], "nobody knows who lives");
        for living in ["self", "7"] {
            std::fs::create_dir_all(processes.join(living)).unwrap();
        }
        clear_scratch(&temporary, &processes);
        assert_eq!(left(), [true, false, true, true]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
