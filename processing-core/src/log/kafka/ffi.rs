//! The calls of librdkafka that its Rust wrapper lacks, or makes wait for a tenth of a second: the only
//! unsafe code of this workspace.
//!
//! Not here: any decision. Each function is one call, with its memory given back and its answer turned into
//! values. Invariant: no pointer leaves this file; what is handed out owns its memory or borrows it from the
//! client that the caller holds.

#![allow(unsafe_code, reason = "librdkafka is C; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{NonNull, null, null_mut};
use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::{millis, number};
use crate::batch::{HeaderBuffer, Headers, RecordBatch, RecordRef};
use crate::log::GroupMetadata;
use crate::record::{DurationMs, LogTime, Offset, TopicPartition};

/// A client's error with what the client says is to be done about it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
    /// The producer is of no use any more.
    pub(super) fatal: bool,
    /// The same call may succeed.
    pub(super) retriable: bool,
    /// The transaction must be aborted; the producer can go on.
    pub(super) abortable: bool,
}

impl Failure {
    /// An answer that is not about a transaction.
    fn plain(code: rd::rd_kafka_resp_err_t, text: String) -> Self {
        Self { code: RDKafkaErrorCode::from(code), text, fatal: false, retriable: false, abortable: false }
    }
}

/// Takes over an error object; null is success.
fn outcome(error: *mut rd::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the object is not null, is this call's own until it is destroyed below, and its text is copied.
    unsafe {
        let failure = Failure {
            code: RDKafkaErrorCode::from(rd::rd_kafka_error_code(error)),
            text: text(rd::rd_kafka_error_string(error)),
            fatal: rd::rd_kafka_error_is_fatal(error) != 0,
            retriable: rd::rd_kafka_error_is_retriable(error) != 0,
            abortable: rd::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        rd::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

/// SAFETY: `chars` is null or a string that ends with a zero byte.
unsafe fn text(chars: *const c_char) -> String {
    if chars.is_null() {
        return String::new();
    }
    // SAFETY: by this function's own contract.
    unsafe { CStr::from_ptr(chars) }.to_string_lossy().into_owned()
}

/// A name with a zero byte in it names nothing.
fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

// ---- Reading in batches -------------------------------------------------------------------------

/// What a partition's queue held besides records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Met {
    /// Records only, or nothing.
    Nothing,
    /// The end below which everything is decided, past trailing markers.
    End(Offset),
    /// An error of this partition.
    Error(RDKafkaErrorCode, String),
}

/// The queue of one partition, cut off from the consumer's own, so that whole batches can be taken from
/// it: a batch from the consumer's own queue would swallow rebalances.
pub(super) struct PartitionQueue {
    queue: NonNull<rd::rd_kafka_queue_t>,
    client: *mut rd::rd_kafka_t,
    /// The most records that one call takes.
    batch: usize,
    headers: HeaderBuffer,
    /// The queue lives no longer than its client.
    _client: Arc<dyn Send + Sync>,
}

// SAFETY: librdkafka's queues may be used from any thread; `&mut self` keeps it to one at a time.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Before the partition is assigned: what is fetched earlier lies in the consumer's own queue.
    pub(super) fn cut<C: ConsumerContext + 'static>(
        owner: &Arc<BaseConsumer<C>>,
        place: &TopicPartition,
        batch: usize,
    ) -> Option<Self> {
        let topic = c_string(place.topic.as_str());
        let client = owner.client().native_ptr();
        // SAFETY: the client is alive, held by `owner`; the topic is copied; forwarding to null cuts the queue off.
        let queue = unsafe {
            let queue = rd::rd_kafka_queue_get_partition(client, topic.as_ptr(), number(place));
            if !queue.is_null() {
                rd::rd_kafka_queue_forward(queue, null_mut());
            }
            queue
        };
        let queue = NonNull::new(queue)?;
        Some(Self {
            queue,
            client,
            batch,
            headers: HeaderBuffer::default(),
            _client: Arc::clone(owner) as Arc<dyn Send + Sync>,
        })
    }

    /// Appends the records that are there from offset `from` on, in their order, after waiting at most `wait` for
    /// the first. What lies below was taken before.
    ///
    /// By callback, although a batch in an array is a little cheaper: that call takes the end of a partition for a
    /// record too and moves the client's position beyond it. At the next rebalance the client goes on there with
    /// every partition that it keeps, and has lost a record.
    pub(super) fn take(&mut self, wait: DurationMs, from: Offset, into: &mut RecordBatch) -> Met {
        let Self { queue, client, batch, headers, .. } = self;
        let mut taking = Taking { client: *client, left: *batch, from, headers, into, met: Met::Nothing };
        // SAFETY: the queue is alive; `taking` outlives the call, which is when the callback is called.
        unsafe {
            rd::rd_kafka_consume_callback_queue(
                queue.as_ptr(),
                millis(wait),
                Some(taken),
                (&raw mut taking).cast::<c_void>(),
            );
        }
        taking.met
    }
}

/// What a call of [`PartitionQueue::take`] hands to its callback.
struct Taking<'t> {
    client: *mut rd::rd_kafka_t,
    left: usize,
    from: Offset,
    headers: &'t mut HeaderBuffer,
    into: &'t mut RecordBatch,
    met: Met,
}

/// SAFETY: `taking` is a [`Taking`] that nobody else holds; `message` is alive during the call.
unsafe extern "C" fn taken(message: *mut rd::rd_kafka_message_t, taking: *mut c_void) {
    // SAFETY: by this function's own contract; the message's bytes are copied.
    unsafe {
        let taking = &mut *taking.cast::<Taking<'_>>();
        let found = &*message;
        if found.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            if Offset(found.offset.max(0).cast_unsigned()) >= taking.from {
                copy(message, taking.headers, taking.into);
            }
            // An end that was met before these records is the end no more.
            taking.met = Met::Nothing;
        } else if found.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF {
            taking.met = Met::End(Offset(found.offset.max(0).cast_unsigned()));
        } else if !matches!(taking.met, Met::Error(..)) {
            let why = format!("{}, at offset {}", text(rd::rd_kafka_message_errstr(message)), found.offset);
            taking.met = Met::Error(RDKafkaErrorCode::from(found.err), why);
        }
        taking.left = taking.left.saturating_sub(1);
        if taking.left == 0 {
            // What is left stays in the queue.
            rd::rd_kafka_yield(taking.client);
        }
    }
}

/// SAFETY: `message` is a consumed message without an error, alive during the call.
unsafe fn copy(message: *const rd::rd_kafka_message_t, headers: &mut HeaderBuffer, into: &mut RecordBatch) {
    // SAFETY: key and value are null or as long as they are said to be; headers live as long as the message.
    unsafe {
        let found = &*message;
        let mut list: *mut rd::rd_kafka_headers_t = null_mut();
        let has_headers = rd::rd_kafka_message_headers(message, &mut list)
            == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            && !list.is_null();
        headers.clear();
        let mut index = 0;
        let (mut name, mut value, mut size) = (null(), null(), 0);
        while has_headers
            && rd::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size)
                == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            headers.push(&text(name), bytes(value, size));
            index += 1;
        }
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        into.push(RecordRef {
            offset: Offset(found.offset.max(0).cast_unsigned()),
            timestamp: LogTime(rd::rd_kafka_message_timestamp(message, &mut kind)),
            key: bytes(found.key, found.key_len),
            value: bytes(found.payload, found.len),
            headers: headers.as_headers(),
        });
    }
}

/// SAFETY: `start` is null or the beginning of `len` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by this function's own contract.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: it was made by `cut`, and nobody else holds it.
        unsafe { rd::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// The ends that the last fetch of a partition told: where it begins (if that is known) and the high
/// watermark, open transactions included. `None` before the first fetch.
pub(super) fn known_ends(client: &Client<impl ClientContext>, place: &TopicPartition) -> Option<(Offset, Offset)> {
    let topic = c_string(place.topic.as_str());
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive, the topic is a string, and both numbers are the caller's own.
    let answer = unsafe {
        rd::rd_kafka_get_watermark_offsets(client.native_ptr(), topic.as_ptr(), number(place), &mut low, &mut high)
    };
    let known = answer == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
    known.then(|| (Offset(low.max(0).cast_unsigned()), Offset(high.cast_unsigned())))
}

/// The group's word on a consumer, as it is now.
pub(super) fn group_standing(client: &Client<impl ClientContext>) -> (i32, String) {
    // SAFETY: the client is alive; the object is this function's own and its text is copied.
    unsafe {
        let metadata = rd::rd_kafka_consumer_group_metadata(client.native_ptr());
        if metadata.is_null() {
            return (-1, String::new());
        }
        let generation = rd::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member = text(rd::rd_kafka_consumer_group_metadata_member_id(metadata));
        rd::rd_kafka_consumer_group_metadata_destroy(metadata);
        (generation, member)
    }
}

// ---- Transactions -------------------------------------------------------------------------------

/// A topic's handle: without it, each record would look its topic up by name.
pub(super) struct TopicHandle {
    topic: NonNull<rd::rd_kafka_topic_t>,
    /// Keeps the client alive.
    _client: Arc<dyn Send + Sync>,
}

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for TopicHandle {}

impl TopicHandle {
    pub(super) fn new<C: ProducerContext + 'static>(owner: &Arc<BaseProducer<C>>, topic: &str) -> Option<Self> {
        let name = c_string(topic);
        // SAFETY: the client is alive, held by `owner`; no configuration means the client's own.
        let topic = unsafe { rd::rd_kafka_topic_new(owner.client().native_ptr(), name.as_ptr(), null_mut()) };
        Some(Self { topic: NonNull::new(topic)?, _client: Arc::clone(owner) as Arc<dyn Send + Sync> })
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: made by `new`, held by nobody else.
        unsafe { rd::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

/// Hands a copy of a record to the producer. Its delivery report comes with `mark`.
pub(super) fn produce(
    client: &Client<impl ClientContext>,
    topic: &TopicHandle,
    partition: u32,
    record: RecordRef<'_>,
    mark: usize,
) -> Result<(), Failure> {
    use rd::rd_kafka_vtype_t as kind;
    let argument = |vtype, u| rd::rd_kafka_vu_t { vtype, u };
    let mem = |part: Option<&[u8]>| rd::rd_kafka_vu_s__bindgen_ty_1 {
        mem: rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: part.map_or(null_mut(), |part| part.as_ptr().cast_mut().cast()),
            size: part.map_or(0, <[u8]>::len),
        },
    };
    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
    let mut arguments = [
        argument(kind::RD_KAFKA_VTYPE_RKT, rd::rd_kafka_vu_s__bindgen_ty_1 { rkt: topic.topic.as_ptr() }),
        argument(kind::RD_KAFKA_VTYPE_PARTITION, rd::rd_kafka_vu_s__bindgen_ty_1 { i32_: partition }),
        argument(kind::RD_KAFKA_VTYPE_MSGFLAGS, rd::rd_kafka_vu_s__bindgen_ty_1 { i: rd::RD_KAFKA_MSG_F_COPY }),
        argument(kind::RD_KAFKA_VTYPE_KEY, mem(record.key)),
        argument(kind::RD_KAFKA_VTYPE_VALUE, mem(record.value)),
        argument(kind::RD_KAFKA_VTYPE_TIMESTAMP, rd::rd_kafka_vu_s__bindgen_ty_1 { i64_: record.timestamp.0 }),
        argument(kind::RD_KAFKA_VTYPE_OPAQUE, rd::rd_kafka_vu_s__bindgen_ty_1 { ptr: mark as *mut c_void }),
        argument(kind::RD_KAFKA_VTYPE_END, rd::rd_kafka_vu_s__bindgen_ty_1 { i: 0 }),
    ];
    let mut count = arguments.len() - 1;
    let headers = native_headers(record.headers);
    if let Some(headers) = headers
        && let Some(last) = arguments.last_mut()
    {
        *last = argument(kind::RD_KAFKA_VTYPE_HEADERS, rd::rd_kafka_vu_s__bindgen_ty_1 { headers: headers.as_ptr() });
        count += 1;
    }
    // SAFETY: the client and the handle are alive, the arguments are as many as said, and with F_COPY the bytes
    // need to live only as long as the call.
    let produced = outcome(unsafe { rd::rd_kafka_produceva(client.native_ptr(), arguments.as_ptr(), count) });
    if let (Err(_), Some(headers)) = (&produced, headers) {
        // SAFETY: the producer takes the headers over only when it takes the record.
        unsafe { rd::rd_kafka_headers_destroy(headers.as_ptr()) }
    }
    produced
}

fn native_headers(headers: Headers<'_>) -> Option<NonNull<rd::rd_kafka_headers_t>> {
    if headers.0.is_empty() {
        return None;
    }
    // SAFETY: names and values are copied with the lengths given.
    unsafe {
        let list = rd::rd_kafka_headers_new(4);
        for (name, value) in headers.iter() {
            let start = value.map_or(null(), |value| value.as_ptr().cast::<c_void>());
            let length = value.map_or(0, |value| value.len().cast_signed());
            rd::rd_kafka_header_add(list, name.as_ptr().cast(), name.len().cast_signed(), start, length);
        }
        NonNull::new(list)
    }
}

/// What has become of a record that [`produce`] took.
pub(super) struct Delivery {
    /// The mark it was given.
    pub(super) mark: usize,
    /// The record's offset, if the broker told it.
    pub(super) offset: Result<Option<Offset>, RDKafkaErrorCode>,
}

/// Shows the reports that are there to `take`, after waiting at most `wait` for the first. The wrapper's own call
/// does not wait for less than a millisecond but asks over and over, and makes an object of each report.
pub(super) fn deliveries(client: &Client<impl ClientContext>, wait: DurationMs, mut take: impl FnMut(Delivery)) {
    // SAFETY: the client is alive; queue and event are given back here, and what is read belongs to the event.
    unsafe {
        let queue = rd::rd_kafka_queue_get_main(client.native_ptr());
        let mut wait = millis(wait);
        loop {
            let event = rd::rd_kafka_queue_poll(queue, wait);
            if event.is_null() {
                break;
            }
            match rd::rd_kafka_event_type(event) {
                rd::RD_KAFKA_EVENT_DR => loop {
                    let message = rd::rd_kafka_event_message_next(event);
                    let Some(report) = message.as_ref() else { break };
                    let told = u64::try_from(report.offset).ok().map(Offset);
                    let good = report.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
                    let offset = if good { Ok(told) } else { Err(RDKafkaErrorCode::from(report.err)) };
                    take(Delivery { mark: report._private as usize, offset });
                },
                rd::RD_KAFKA_EVENT_LOG => pass_on_log(client, event),
                rd::RD_KAFKA_EVENT_ERROR => {
                    let error = KafkaError::Global(RDKafkaErrorCode::from(rd::rd_kafka_event_error(event)));
                    client.context().error(error, &text(rd::rd_kafka_event_error_string(event)));
                }
                _ => {}
            }
            rd::rd_kafka_event_destroy(event);
            wait = 0;
        }
        rd::rd_kafka_queue_destroy(queue);
    }
}

/// SAFETY: `event` is a line of librdkafka's log.
unsafe fn pass_on_log(client: &Client<impl ClientContext>, event: *mut rd::rd_kafka_event_t) {
    let (mut facility, mut line, mut level) = (null(), null(), 0);
    // SAFETY: by this function's own contract; the texts belong to the event and are copied.
    unsafe {
        if rd::rd_kafka_event_log(event, &mut facility, &mut line, &mut level) == 0 {
            // Syslog's numbers.
            let level = match level {
                0..=2 => RDKafkaLogLevel::Critical,
                3 => RDKafkaLogLevel::Error,
                4 => RDKafkaLogLevel::Warning,
                5 | 6 => RDKafkaLogLevel::Info,
                _ => RDKafkaLogLevel::Debug,
            };
            client.context().log(level, &text(facility), &text(line));
        }
    }
}

/// Adds group positions to the open transaction.
pub(super) fn send_offsets(
    client: &Client<impl ClientContext>,
    positions: &TopicPartitionList,
    group: &GroupMetadata,
    wait: DurationMs,
) -> Result<(), Failure> {
    let (id, member, instance) = (c_string(&group.group), c_string(&group.member), c_string(&group.instance));
    let instance_or_null = if group.instance.is_empty() { null() } else { instance.as_ptr() };
    // SAFETY: all texts and the list outlive the calls and are copied by them; the object is this function's own.
    unsafe {
        let metadata = rd::rd_kafka_consumer_group_metadata_new_with_genid(
            id.as_ptr(),
            group.generation as i32,
            member.as_ptr(),
            instance_or_null,
        );
        let sent = outcome(rd::rd_kafka_send_offsets_to_transaction(
            client.native_ptr(),
            positions.ptr(),
            metadata,
            millis(wait),
        ));
        rd::rd_kafka_consumer_group_metadata_destroy(metadata);
        sent
    }
}

/// Commits the open transaction. Whatever was sent must have been delivered: the wrapper's own call waits in
/// steps of 100 ms, this one does not wait for deliveries at all.
pub(super) fn commit(client: &Client<impl ClientContext>, wait: DurationMs) -> Result<(), Failure> {
    // SAFETY: the client is alive.
    outcome(unsafe { rd::rd_kafka_commit_transaction(client.native_ptr(), millis(wait)) })
}

/// Aborts the open transaction. Whatever was sent must have been delivered or purged.
pub(super) fn abort(client: &Client<impl ClientContext>, wait: DurationMs) -> Result<(), Failure> {
    // SAFETY: the client is alive.
    outcome(unsafe { rd::rd_kafka_abort_transaction(client.native_ptr(), millis(wait)) })
}

/// Makes the producer ready, fencing whoever had its transactional id.
pub(super) fn init(client: &Client<impl ClientContext>, wait: DurationMs) -> Result<(), Failure> {
    // SAFETY: the client is alive.
    outcome(unsafe { rd::rd_kafka_init_transactions(client.native_ptr(), millis(wait)) })
}

/// Begins a transaction; nothing is sent for it.
pub(super) fn begin(client: &Client<impl ClientContext>) -> Result<(), Failure> {
    // SAFETY: the client is alive.
    outcome(unsafe { rd::rd_kafka_begin_transaction(client.native_ptr()) })
}

// ---- Admin --------------------------------------------------------------------------------------

/// A topic's identity and partition count; `None` if there is no such topic.
pub(super) fn describe_topic(
    client: &Client<impl ClientContext>,
    topic: &str,
    wait: DurationMs,
) -> Result<Option<(u128, u32)>, Failure> {
    let name = c_string(topic);
    // SAFETY: every object made here is destroyed here; what is read belongs to the event, which lives until then.
    unsafe {
        let mut names = [name.as_ptr()];
        let wanted = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let ask = |options, queue| rd::rd_kafka_DescribeTopics(client.native_ptr(), wanted, options, queue);
        let answer = ask_admin(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, wait, ask, |event| {
            let mut count = 0;
            let result = rd::rd_kafka_event_DescribeTopics_result(event);
            let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            if count == 0 {
                return Ok(None);
            }
            let topic = *topics;
            let error = rd::rd_kafka_TopicDescription_error(topic);
            if let Some(failure) = borrowed_failure(error) {
                let unknown = failure.code == RDKafkaErrorCode::UnknownTopicOrPartition;
                return if unknown { Ok(None) } else { Err(failure) };
            }
            let mut partitions = 0;
            rd::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
            let id = rd::rd_kafka_TopicDescription_topic_id(topic);
            let high = rd::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
            let low = rd::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
            Ok(Some(((u128::from(high) << 64) | u128::from(low), u32::try_from(partitions).unwrap_or(u32::MAX))))
        });
        rd::rd_kafka_TopicCollection_destroy(wanted);
        answer
    }
}

/// Sends an admin request and reads its answer.
///
/// SAFETY: `ask` sends one request to the queue that it is given, and `read` keeps nothing of the event.
unsafe fn ask_admin<T>(
    client: &Client<impl ClientContext>,
    operation: rd::rd_kafka_admin_op_t,
    wait: DurationMs,
    ask: impl FnOnce(*const rd::rd_kafka_AdminOptions_t, *mut rd::rd_kafka_queue_t),
    read: impl FnOnce(*mut rd::rd_kafka_event_t) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // SAFETY: options, queue and event are made here and destroyed here; an answer that comes after the wait goes
    // down with the queue.
    unsafe {
        let options = rd::rd_kafka_AdminOptions_new(client.native_ptr(), operation);
        let mut error = [0; 256];
        rd::rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), error.as_mut_ptr(), error.len());
        let queue = rd::rd_kafka_queue_new(client.native_ptr());
        ask(options, queue);
        // The request ends by itself; a little more, so that its own answer is the one that is seen.
        let event = rd::rd_kafka_queue_poll(queue, millis(wait) + 1_000);
        let answer = if event.is_null() {
            Err(Failure::plain(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT, "no answer in time".to_owned()))
        } else {
            let answer = match rd::rd_kafka_event_error(event) {
                rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => read(event),
                code => Err(Failure::plain(code, text(rd::rd_kafka_event_error_string(event)))),
            };
            rd::rd_kafka_event_destroy(event);
            answer
        };
        rd::rd_kafka_queue_destroy(queue);
        rd::rd_kafka_AdminOptions_destroy(options);
        answer
    }
}

/// SAFETY: `error` is null or somebody else's.
unsafe fn borrowed_failure(error: *const rd::rd_kafka_error_t) -> Option<Failure> {
    if error.is_null() {
        return None;
    }
    // SAFETY: by this function's own contract; the text is copied.
    let failure = unsafe { Failure::plain(rd::rd_kafka_error_code(error), text(rd::rd_kafka_error_string(error))) };
    (failure.code != RDKafkaErrorCode::NoError).then_some(failure)
}
