import com.datadoghq.sketch.ddsketch.DDSketch;
import com.datadoghq.sketch.ddsketch.DDSketches;
import com.datadoghq.sketch.ddsketch.encoding.ByteArrayInput;
import com.datadoghq.sketch.ddsketch.encoding.GrowingByteArrayOutput;
import com.datadoghq.sketch.ddsketch.store.UnboundedSizeDenseStore;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Iterator;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The bench's cases as a Kafka Streams program: what its users would write, and no more.
 *
 * <p>Not here: load, measuring, comparing (the driver). Invariant: every result is, byte for byte, what the
 * worker beside it writes for the same input.
 *
 * <p>Arguments: CASE BROKERS APPLICATION_ID STATE_FOLDER COMMIT_INTERVAL_MS INPUT_TOPIC [SECOND_INPUT_TOPIC]. Prints
 * RUNNING, and ends on SIGTERM.
 */
public final class StreamsBench {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration MINUTE = Duration.ofMinutes(1);
    private static final Duration HOUR = Duration.ofHours(1);
    private static final Duration GRACE = Duration.ofMinutes(5);
    /** Of the state that a restart has to bring back; as many bytes as the worker's rows. */
    private static final int FILLER_NUMBERS = 111;

    private static String input;
    /** The second input of cases that have one. */
    private static String beside;

    private StreamsBench() {}

    public static void main(String[] arguments) throws InterruptedException {
        String name = arguments[0];
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[1]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[2]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), "bench-0");
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");

        StreamsBuilder builder = new StreamsBuilder();
        input = arguments[5];
        beside = arguments.length > 6 ? arguments[6] : null;
        // Another application id is another run with results of its own.
        String out = arguments[2] + "-out";
        switch (name) {
            case "tumbling" -> finals(byCity(builder, TimeWindows.ofSizeAndGrace(MINUTE, GRACE)), out);
            case "hopping" ->
                finals(byCity(builder, TimeWindows.ofSizeAndGrace(HOUR, Duration.ofMinutes(20)).advanceBy(MINUTE)), out);
            case "per_user" -> finals(byUser(builder, TimeWindows.ofSizeAndGrace(MINUTE, GRACE)), out);
            case "session" -> sessions(builder, out);
            case "updates" -> send(byCity(builder, TimeWindows.ofSizeAndGrace(MINUTE, GRACE)), out);
            case "top20" -> top20(byCity(builder, TimeWindows.ofSizeAndGrace(MINUTE, GRACE)), out);
            case "join" -> join(builder, out);
            case "table_join" -> tableJoin(builder, out);
            case "quantiles" -> quantiles(byCityResults(builder), out);
            case "rollup" -> rollup(builder, out, arguments[2] + "-hours-out");
            case "large_state" -> largeState(builder, out);
            default -> throw new IllegalArgumentException("no case is called " + name);
        }

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("RUNNING");
            } else if (now == KafkaStreams.State.ERROR) {
                ended.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(10));
            ended.countDown();
        }));
        // What a killed process has left can refuse to be opened at first; whoever runs this for real lets it try again.
        streams.setUncaughtExceptionHandler(error -> {
            System.err.println("a thread is replaced: " + error + ", caused by " + error.getCause());
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        streams.start();
        ended.await();
    }

    private static KStream<String, JsonNode> searches(StreamsBuilder builder) {
        return events(builder, input);
    }

    private static KStream<String, JsonNode> events(StreamsBuilder builder, String topic) {
        TimestampExtractor time = (record, partitionTime) -> ((JsonNode) record.value()).get("timestamp").asLong();
        return builder.stream(topic, Consumed.with(Serdes.String(), json()).withTimestampExtractor(time));
    }

    /** Only what is counted goes through the repartition topic, not the whole event. */
    private static KTable<Windowed<String>, Long> byCity(StreamsBuilder builder, TimeWindows windows) {
        return searches(builder)
            .map((user, search) -> KeyValue.pair(search.get("payload").get("city").asText(), 1))
            .groupByKey(Grouped.with("city", Serdes.String(), Serdes.Integer()))
            .windowedBy(windows)
            .count(Materialized.as("count"));
    }

    private static KTable<Windowed<String>, Long> byUser(StreamsBuilder builder, TimeWindows windows) {
        return searches(builder)
            .groupByKey(Grouped.with(Serdes.String(), json()))
            .windowedBy(windows)
            .count(Materialized.as("count"));
    }

    private static <V> KTable<Windowed<String>, V> closed(KTable<Windowed<String>, V> table, String name) {
        return table.suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()).withName(name));
    }

    private static void finals(KTable<Windowed<String>, Long> counts, String out) {
        send(closed(counts, "closed"), out);
    }

    private static void send(KTable<Windowed<String>, Long> counts, String out) {
        counts.toStream()
            .map((window, count) -> KeyValue.pair(
                window.key(),
                "{\"key\":\"" + window.key() + "\",\"start\":" + window.window().start() + ",\"count\":" + count + "}"))
            .to(out, Produced.with(Serdes.String(), Serdes.String()));
    }

    private static void sessions(StreamsBuilder builder, String out) {
        KTable<Windowed<String>, Long> sessions = searches(builder)
            .groupByKey(Grouped.with(Serdes.String(), json()))
            .windowedBy(SessionWindows.ofInactivityGapAndGrace(Duration.ofMinutes(30), GRACE))
            .count(Materialized.as("sessions"));
        closed(sessions, "closed")
            .toStream()
            .map((window, count) -> KeyValue.pair(
                window.key(),
                "{\"key\":\"" + window.key() + "\",\"start\":" + window.window().start()
                    + ",\"end\":" + window.window().end() + ",\"count\":" + count + "}"))
            .to(out, Produced.with(Serdes.String(), Serdes.String()));
    }

    private static void top20(KTable<Windowed<String>, Long> counts, String out) {
        KTable<Windowed<String>, TreeSet<Ranked>> top = closed(counts, "closed")
            .toStream()
            .map((window, count) -> KeyValue.pair("all", new Ranked(count, window.key())))
            .groupByKey(Grouped.with("all", Serdes.String(), Serdes.serdeFrom(Ranked::toBytes, Ranked::fromBytes)))
            .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
            .aggregate(
                TreeSet::new,
                (key, city, best) -> {
                    best.add(city);
                    if (best.size() > 20) {
                        best.pollLast();
                    }
                    return best;
                },
                Materialized.<String, TreeSet<Ranked>, WindowStore<Bytes, byte[]>>as("top")
                    .withValueSerde(Serdes.serdeFrom(Ranked::allToBytes, Ranked::allFromBytes)));
        closed(top, "top-closed")
            .toStream()
            .map((window, best) -> {
                StringBuilder text = new StringBuilder();
                text.append("{\"start\":").append(window.window().start()).append(",\"top\":[");
                for (Iterator<Ranked> each = best.iterator(); each.hasNext(); ) {
                    Ranked city = each.next();
                    text.append("[\"").append(city.city).append("\",").append(city.count).append(']');
                    text.append(each.hasNext() ? "," : "");
                }
                return KeyValue.pair(window.key(), text.append("]}").toString());
            })
            .to(out, Produced.with(Serdes.String(), Serdes.String()));
    }

    /** Only the times are kept on both sides. */
    private static void join(StreamsBuilder builder, String out) {
        KStream<String, Long> searches = searches(builder).mapValues(search -> search.get("timestamp").asLong());
        KStream<String, Long> clicks = events(builder, beside).mapValues(click -> click.get("timestamp").asLong());
        searches.join(
                clicks,
                (user, search, click) -> "{\"key\":\"" + user + "\",\"start\":" + search + ",\"end\":" + click + "}",
                JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMinutes(5), GRACE).before(Duration.ZERO),
                StreamJoined.with(Serdes.String(), Serdes.Long(), Serdes.Long()).withStoreName("clicked"))
            .to(out, Produced.with(Serdes.String(), Serdes.String()));
    }

    private static void tableJoin(StreamsBuilder builder, String out) {
        KTable<String, JsonNode> profiles = builder.table(beside, Consumed.with(Serdes.String(), json()));
        KTable<Windowed<String>, Long> weights = searches(builder)
            .join(profiles, (search, profile) -> profile.get("weight").asLong(),
                Joined.with(Serdes.String(), json(), json()))
            .groupByKey(Grouped.with(Serdes.String(), Serdes.Long()))
            .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
            .reduce(Long::sum, Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("weight")
                .withValueSerde(Serdes.Long()));
        finals(weights, out);
    }

    private static KTable<Windowed<String>, DDSketch> byCityResults(StreamsBuilder builder) {
        return searches(builder)
            .map((user, search) -> KeyValue.pair(
                search.get("payload").get("city").asText(), search.get("payload").get("result_count").asInt()))
            .groupByKey(Grouped.with("city", Serdes.String(), Serdes.Integer()))
            .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
            .aggregate(
                () -> DDSketches.unboundedDense(0.01),
                (city, results, sketch) -> {
                    sketch.accept(results);
                    return sketch;
                },
                Materialized.<String, DDSketch, WindowStore<Bytes, byte[]>>as("results").withValueSerde(sketch()));
    }

    private static void quantiles(KTable<Windowed<String>, DDSketch> sketches, String out) {
        closed(sketches, "closed")
            .toStream()
            .map((window, sketch) -> {
                double[] at = sketch.getValuesAtQuantiles(new double[] {0.5, 0.95, 0.99});
                return KeyValue.pair(
                    window.key(),
                    "{\"key\":\"" + window.key() + "\",\"start\":" + window.window().start() + ",\"p50\":"
                        + Math.round(at[0]) + ",\"p95\":" + Math.round(at[1]) + ",\"p99\":" + Math.round(at[2]) + "}");
            })
            .to(out, Produced.with(Serdes.String(), Serdes.String()));
    }

    private static Serde<DDSketch> sketch() {
        Serializer<DDSketch> write = (topic, sketch) -> {
            if (sketch == null) {
                return null;
            }
            try {
                GrowingByteArrayOutput bytes = GrowingByteArrayOutput.withDefaultInitialCapacity();
                sketch.encode(bytes, false);
                return bytes.trimmedCopy();
            } catch (IOException error) {
                throw new SerializationException(error);
            }
        };
        Deserializer<DDSketch> read = (topic, bytes) -> {
            try {
                return bytes == null ? null : DDSketch.decode(ByteArrayInput.wrap(bytes), UnboundedSizeDenseStore::new);
            } catch (IOException error) {
                throw new SerializationException(error);
            }
        };
        return Serdes.serdeFrom(write, read);
    }

    /** Each stage is keyed anew, since the key of a window's result holds the window. */
    private static void rollup(StreamsBuilder builder, String out, String hoursOut) {
        Duration grace = HOUR.multipliedBy(6);
        KTable<Windowed<String>, Long> minutes =
            closed(byCity(builder, TimeWindows.ofSizeAndGrace(MINUTE, grace)), "minutes-closed");
        KTable<Windowed<String>, Long> hours = coarser(minutes, HOUR, grace, "hours");
        told(hours, 1, hoursOut);
        told(coarser(hours, HOUR.multipliedBy(24), grace, "days"), 24, out);
    }

    private static KTable<Windowed<String>, Long> coarser(
            KTable<Windowed<String>, Long> finer, Duration size, Duration grace, String name) {
        KTable<Windowed<String>, Long> sums = finer
            .toStream()
            .map((window, count) -> KeyValue.pair(window.key(), count))
            .groupByKey(Grouped.with(name, Serdes.String(), Serdes.Long()))
            .windowedBy(TimeWindows.ofSizeAndGrace(size, grace))
            .reduce(Long::sum, Materialized.<String, Long, WindowStore<Bytes, byte[]>>as(name)
                .withValueSerde(Serdes.Long()));
        return closed(sums, name + "-closed");
    }

    private static void told(KTable<Windowed<String>, Long> counts, int hours, String out) {
        counts
            .toStream()
            .map((window, count) -> KeyValue.pair(
                window.key(),
                "{\"key\":\"" + window.key() + "\",\"start\":" + window.window().start() + ",\"hours\":" + hours
                    + ",\"count\":" + count + "}"))
            .to(out, Produced.with(Serdes.String(), Serdes.String()));
    }

    /** Rows of about a kilobyte that do not compress. */
    private static void largeState(StreamsBuilder builder, String out) {
        TimestampExtractor time = (record, partitionTime) -> ((JsonNode) record.value()).get("timestamp").asLong();
        builder.stream(input, Consumed.with(Serdes.String(), json()).withTimestampExtractor(time))
            .groupByKey(Grouped.with(Serdes.String(), json()))
            .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, HOUR.multipliedBy(3)))
            .aggregate(
                () -> new byte[0],
                (key, profile, row) -> filler(profile.get("id").asLong()),
                Materialized.<String, byte[], WindowStore<Bytes, byte[]>>as("profiles")
                    .withValueSerde(Serdes.ByteArray()))
            .toStream()
            .map((window, row) -> KeyValue.pair(window.key(), Integer.toString(row.length)))
            .to(out, Produced.with(Serdes.String(), Serdes.String()));
    }

    private static byte[] filler(long id) {
        ByteBuffer bytes = ByteBuffer.allocate(FILLER_NUMBERS * Long.BYTES);
        for (long number = 1; number <= FILLER_NUMBERS; number++) {
            bytes.putLong(((id << 20) + number) * 0x9e3779b97f4a7c15L);
        }
        return bytes.array();
    }

    /** A city in the order of the list: the most searches first, then by name. */
    private record Ranked(long count, String city) implements Comparable<Ranked> {
        @Override
        public int compareTo(Ranked other) {
            int byCount = Long.compare(other.count, count);
            return byCount != 0 ? byCount : city.compareTo(other.city);
        }

        static byte[] toBytes(String topic, Ranked one) {
            byte[] name = one.city.getBytes(StandardCharsets.UTF_8);
            return ByteBuffer.allocate(12 + name.length).putLong(one.count).putInt(name.length).put(name).array();
        }

        static Ranked fromBytes(String topic, byte[] bytes) {
            return next(ByteBuffer.wrap(bytes));
        }

        static byte[] allToBytes(String topic, TreeSet<Ranked> all) {
            int length = 0;
            for (Ranked one : all) {
                length += 12 + one.city.getBytes(StandardCharsets.UTF_8).length;
            }
            ByteBuffer bytes = ByteBuffer.allocate(length);
            for (Ranked one : all) {
                bytes.put(toBytes(topic, one));
            }
            return bytes.array();
        }

        static TreeSet<Ranked> allFromBytes(String topic, byte[] bytes) {
            TreeSet<Ranked> all = new TreeSet<>();
            for (ByteBuffer rest = ByteBuffer.wrap(bytes); rest.hasRemaining(); ) {
                all.add(next(rest));
            }
            return all;
        }

        private static Ranked next(ByteBuffer bytes) {
            long count = bytes.getLong();
            byte[] name = new byte[bytes.getInt()];
            bytes.get(name);
            return new Ranked(count, new String(name, StandardCharsets.UTF_8));
        }
    }

    private static Serde<JsonNode> json() {
        Serializer<JsonNode> write = (topic, node) -> {
            try {
                return JSON.writeValueAsBytes(node);
            } catch (IOException error) {
                throw new SerializationException(error);
            }
        };
        Deserializer<JsonNode> read = (topic, bytes) -> {
            try {
                return JSON.readTree(bytes);
            } catch (IOException error) {
                throw new SerializationException(error);
            }
        };
        return Serdes.serdeFrom(write, read);
    }
}
