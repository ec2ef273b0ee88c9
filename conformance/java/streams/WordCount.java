import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Counts words with Kafka Streams, exactly once, started as {@code java WordCount BOOTSTRAP TOPIC MODE ...}: {@code create},
 * {@code feed FIRST COUNT}, {@code run STATE_DIR} until it is killed, {@code await LINES all|some}. Line n has two words, one
 * of five and one that every line has. Nothing is cached, so that every word's counts come out one by one.
 */
public class WordCount {
    private static final int PARTITIONS = 3;
    private static final int WORDS = 5;
    private static final long PATIENCE_MS = 60_000;

    private static final short REPLICAS = Short.parseShort(System.getenv().getOrDefault("CONFORMANCE_REPLICAS", "1"));

    private final String bootstrap;
    private final String input;
    private final String output;

    WordCount(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.input = topic;
        this.output = topic + "-counts";
    }

    public static void main(String[] args) throws Exception {
        WordCount count = new WordCount(args[0], args[1]);
        switch (args[2]) {
            case "create" -> count.create();
            case "feed" -> count.feed(Integer.parseInt(args[3]), Integer.parseInt(args[4]));
            case "run" -> count.run(args[3]);
            case "await" -> count.await(Integer.parseInt(args[3]), args[4].equals("all"));
            default -> throw new IllegalArgumentException("no mode named " + args[2]);
        }
    }

    private void create() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(input, PARTITIONS, REPLICAS), new NewTopic(output, PARTITIONS, REPLICAS))).all().get();
        }
    }

    private void feed(int first, int count) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            for (int n = first; n < first + count; n++) {
                producer.send(new ProducerRecord<>(input, n % PARTITIONS, null, "Word" + n % WORDS + " every"));
            }
            producer.flush();
        }
    }

    private void run(String stateDir) throws Exception {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, input);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // Whoever comes after one that was killed does not wait long for it.
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 6_000);
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(input)
                .flatMapValues(line -> Arrays.asList(line.toLowerCase(Locale.ROOT).split(" ")))
                .groupBy((key, word) -> word)
                .count()
                .toStream()
                .to(output, Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        streams.start();
        Thread.sleep(Long.MAX_VALUE);
    }

    /** Waits for the counts of so many lines, or for the first of them; no count may come twice or be left out. */
    private void await(int lines, boolean all) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                partitions.add(new TopicPartition(output, partition));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            TreeMap<String, Long> expected = new TreeMap<>();
            for (int n = 0; n < lines; n++) {
                expected.merge("word" + n % WORDS, 1L, Long::sum);
                expected.merge("every", 1L, Long::sum);
            }
            TreeMap<String, Long> counts = new TreeMap<>();
            long deadline = System.currentTimeMillis() + PATIENCE_MS;
            while (all ? !counts.equals(expected) : counts.isEmpty()) {
                for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(200))) {
                    long before = counts.getOrDefault(record.key(), 0L);
                    if (record.value() != before + 1) {
                        throw new AssertionError(record.key() + " was counted to " + record.value() + " after " + before);
                    }
                    counts.put(record.key(), record.value());
                }
                if (System.currentTimeMillis() > deadline) {
                    throw new AssertionError("counted " + counts + ", not " + expected);
                }
            }
        }
    }
}
