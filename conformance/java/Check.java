import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Entry of the Java checks, compiled against several releases of kafka-clients and started as
 * {@code java Check BOOTSTRAP TOPIC CHECK}. A check verifies what it reads back and throws on
 * the first difference. A group is named as its topic is.
 */
public class Check {
    static final long PATIENCE_MS = 20_000;

    /** How many replicas the runner wants topics to have. */
    static final short REPLICAS = Short.parseShort(System.getenv().getOrDefault("CONFORMANCE_REPLICAS", "1"));

    final String bootstrap;
    final String topic;

    Check(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.topic = topic;
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 3) {
            throw new IllegalArgumentException("usage: Check BOOTSTRAP TOPIC CHECK");
        }
        Check check = new Check(args[0], args[1]);
        switch (args[2]) {
            case "producer" -> new ProducerChecks(check).callbackAndGet();
            case "partitioner" -> new ProducerChecks(check).customPartitioner();
            case "idempotent" -> new ProducerChecks(check).idempotentByDefault();
            case "compression" -> new ProducerChecks(check).everyCodec();
            case "consumer" -> new ConsumerChecks(check).assignAndSeek();
            case "admin" -> new AdminChecks(check).topics();
            case "configs" -> new AdminChecks(check).configs();
            case "cluster" -> new AdminChecks(check).cluster();
            case "records" -> new AdminChecks(check).recordsAndOffsets();
            case "rollingRangeAssignor", "rollingCooperativeStickyAssignor" ->
                    new MigrationChecks(check).rolling(args[2].substring("rolling".length()));
            case "expression" -> new MigrationChecks(check).expression();
            case "newer" -> new GroupChecks(check).twoMembers(null);
            case "RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor" ->
                    new GroupChecks(check).twoMembers(args[2]);
            case "churn-range" -> new GroupChecks(check).churn("RangeAssignor");
            case "churn-cooperative" -> new GroupChecks(check).churn("CooperativeStickyAssignor");
            case "churn-newer" -> new GroupChecks(check).churn(null);
            case "commits" -> new GroupChecks(check).commits();
            case "static" -> new GroupChecks(check).staticMembers();
            case "groups" -> new GroupAdminChecks(check).groups();
            case "offsets" -> new GroupAdminChecks(check).offsets();
            case "transactions" -> new TransactionChecks(check).commitAndAbort();
            case "fencing" -> new TransactionChecks(check).fencing();
            case "timeout" -> new TransactionChecks(check).timeout();
            case "many" -> new TransactionChecks(check).many();
            case "loop" -> new TransactionChecks(check).loop("classic");
            case "newer-loop" -> new TransactionChecks(check).loop("consumer");
            case "transaction-admin" -> new TransactionChecks(check).admin();
            default -> throw new IllegalArgumentException("no check named " + args[2]);
        }
    }

    Properties producerProperties() {
        Properties properties = new Properties();
        properties.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        properties.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
        properties.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
        properties.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, (int) PATIENCE_MS);
        return properties;
    }

    KafkaProducer<String, String> producer(Object... extra) {
        Properties properties = producerProperties();
        for (int i = 0; i < extra.length; i += 2) {
            properties.put(extra[i], extra[i + 1]);
        }
        return new KafkaProducer<>(properties);
    }

    Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", bootstrap,
                "request.timeout.ms", (int) PATIENCE_MS, "default.api.timeout.ms", (int) PATIENCE_MS));
    }

    /** Returns once every partition is served, which is a moment after the topic was made. */
    void createTopic(int partitions) throws Exception {
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, REPLICAS))).all().get(PATIENCE_MS, TimeUnit.MILLISECONDS);
            Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
            for (int partition = 0; partition < partitions; partition++) {
                ends.put(new TopicPartition(topic, partition), OffsetSpec.latest());
            }
            admin.listOffsets(ends).all().get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        }
    }

    static void expect(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    static void expectEqual(Object want, Object got, String what) {
        expect(want.equals(got), what + " is " + got + ", want " + want);
    }
}
