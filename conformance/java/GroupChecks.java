import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Members of classic groups: who holds what, who reads what, and what is committed. A group is named as its topic is. */
class GroupChecks {
    /** A name only newer clients know; older ones know no other protocol than the classic one. */
    static final String PROTOCOL = "group.protocol";

    private static final int PARTITIONS = 4;

    private final Check check;

    GroupChecks(Check check) {
        this.check = check;
    }

    static KafkaConsumer<String, String> consumer(Check check, Object... extra) {
        Properties properties = new Properties();
        properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, check.bootstrap);
        properties.put(ConsumerConfig.GROUP_ID_CONFIG, check.topic);
        properties.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        properties.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        properties.put(PROTOCOL, "classic");
        properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        properties.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, 10_000);
        properties.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 300);
        properties.put(ConsumerConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) Check.PATIENCE_MS);
        for (int i = 0; i < extra.length; i += 2) {
            properties.put(extra[i], extra[i + 1]);
        }
        if ("consumer".equals(properties.get(PROTOCOL))) {
            // The broker sets these, and the client refuses to hear of them.
            properties.remove(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG);
            properties.remove(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG);
        }
        return new KafkaConsumer<>(properties);
    }

    void fill(int partitions, int first, int count) throws Exception {
        // 3.1.0 would write twice what it has no answer to, for its defaults were wrong (KAFKA-13598).
        try (KafkaProducer<String, String> producer = check.producer("enable.idempotence", true)) {
            for (int partition = 0; partition < partitions; partition++) {
                for (int n = first; n < first + count; n++) {
                    producer.send(new ProducerRecord<>(check.topic, partition, null, "p" + partition + " m" + n));
                }
            }
            producer.flush();
        }
    }

    Set<TopicPartition> partitions(int... numbers) {
        Set<TopicPartition> partitions = new HashSet<>();
        for (int number : numbers) {
            partitions.add(new TopicPartition(check.topic, number));
        }
        return partitions;
    }

    /** Seed 004, number 21: no partition is held by two members, a record is read by one member only. */
    void twoMembers(String assignor) throws Exception {
        check.createTopic(PARTITIONS);
        fill(PARTITIONS, 0, 10);
        Holdings holdings = new Holdings();
        String strategy = assignor == null ? null : "org.apache.kafka.clients.consumer." + assignor;
        try (Member first = new Member(check, "the first", holdings, strategy)) {
            holdings.await("the first alone", () -> holdings.count("the first") == PARTITIONS && holdings.readOfEach(PARTITIONS, 10));
            try (Member second = new Member(check, "the second", holdings, strategy)) {
                holdings.await("two for each", () -> holdings.count("the first") == 2 && holdings.count("the second") == 2);
                fill(PARTITIONS, 10, 10);
                holdings.await("both reading", () -> holdings.readOfEach(PARTITIONS, 20));
                first.close();
                holdings.await("taking over", () -> holdings.count("the second") == PARTITIONS);
                fill(PARTITIONS, 20, 10);
                holdings.await("the second reading", () -> holdings.readOfEach(PARTITIONS, 30));
            }
        }
        holdings.expectEachOnce(PARTITIONS, 30);
    }

    /**
     * Members come and go while records are produced: no partition is held by two of them, and no record is left out. The
     * client itself may read one twice, when a partition is taken away before what it fetched last is committed.
     */
    void churn(String assignor) throws Exception {
        int count = 300;
        check.createTopic(PARTITIONS);
        Holdings holdings = new Holdings();
        String strategy = assignor == null ? null : "org.apache.kafka.clients.consumer." + assignor;
        CompletableFuture<Exception> filled = new CompletableFuture<>();
        Thread load = new Thread(() -> {
            try {
                for (int first = 0; first < count; first += 5) {
                    fill(PARTITIONS, first, 5);
                }
                filled.complete(null);
            } catch (Exception seen) {
                filled.complete(seen);
            }
        }, "load");
        load.setDaemon(true);
        List<Member> members = new ArrayList<>();
        try {
            load.start();
            for (int step = 0; step < 8; step++) {
                // Three come for each that goes, and the one that was there longest goes.
                if (step % 4 == 3) {
                    members.remove(0).close();
                } else {
                    members.add(new Member(check, "member " + step, holdings, strategy));
                }
                int read = holdings.read(0) + holdings.read(1);
                holdings.await("reading after step " + step, () -> filled.isDone() || holdings.read(0) + holdings.read(1) > read);
            }
            Exception problem = filled.get();
            Check.expect(problem == null, "producing failed: " + problem);
            holdings.await("reading all", () -> holdings.readOfEach(PARTITIONS, count));
        } finally {
            for (Member member : members) {
                member.close();
            }
        }
        holdings.expectEach(PARTITIONS, count);
    }

    void commits() throws Exception {
        check.createTopic(1);
        fill(1, 0, 20);
        TopicPartition partition = new TopicPartition(check.topic, 0);
        try (KafkaConsumer<String, String> consumer = consumer(check)) {
            consumer.subscribe(List.of(check.topic));
            Check.expectEqual(0L, read(consumer, 20).get(0).offset(), "first offset");
            ConsumerGroupMetadata metadata = consumer.groupMetadata();
            Check.expectEqual(check.topic, metadata.groupId(), "group of groupMetadata");
            Check.expect(metadata.generationId() > 0 && !metadata.memberId().isEmpty(), "groupMetadata is " + metadata);
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(5, "a synchronous note")));
            expectCommitted(consumer, partition, 5, "a synchronous note");
            CompletableFuture<Exception> answered = new CompletableFuture<>();
            consumer.commitAsync(Map.of(partition, new OffsetAndMetadata(12, "später")), (offsets, problem) -> answered.complete(problem));
            long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
            while (!answered.isDone() && System.currentTimeMillis() < deadline) {
                consumer.poll(Duration.ofMillis(50));
            }
            Check.expect(answered.isDone(), "commitAsync was not answered in time");
            Check.expect(answered.get() == null, "commitAsync failed: " + answered.get());
            expectCommitted(consumer, partition, 12, "später");
        }
        try (KafkaConsumer<String, String> consumer = consumer(check, ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, true)) {
            consumer.subscribe(List.of(check.topic));
            Check.expectEqual(12L, read(consumer, 8).get(0).offset(), "first offset after the restart");
        }
        try (KafkaConsumer<String, String> consumer = consumer(check)) {
            expectCommitted(consumer, partition, 20, "");
        }
    }

    private static void expectCommitted(KafkaConsumer<String, String> consumer, TopicPartition partition, long offset, String metadata) {
        OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
        Check.expect(committed != null, "nothing is committed, want " + offset);
        Check.expectEqual(offset, committed.offset(), "committed offset");
        Check.expectEqual(metadata, committed.metadata(), "committed metadata");
    }

    static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        while (records.size() < count) {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            Check.expect(System.currentTimeMillis() < deadline, "got " + records.size() + " of " + count + " records in time");
        }
        for (ConsumerRecord<String, String> record : records) {
            Check.expectEqual("p" + record.partition() + " m" + record.offset(), record.value(), "value");
        }
        return records;
    }

    /** A static member that comes back keeps its partitions and disturbs nobody; one that lost its name is fenced. */
    void staticMembers() throws Exception {
        check.createTopic(PARTITIONS);
        String range = "org.apache.kafka.clients.consumer.RangeAssignor";
        Holdings holdings = new Holdings();
        try (Member stays = new Member(check, "the one that stays", holdings, range, ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, "stays")) {
            Member leaves = new Member(check, "the one that leaves", holdings, range, ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, "leaves");
            holdings.await("two for each", () -> holdings.count("the one that stays") == 2 && holdings.count("the one that leaves") == 2);
            Set<TopicPartition> before = holdings.of("the one that leaves");
            int rebalances = holdings.rebalances("the one that stays");
            leaves.close();
            Member back = new Member(check, "the one that is back", holdings, range, ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, "leaves");
            holdings.await("coming back", () -> holdings.count("the one that is back") == 2);
            Check.expectEqual(before, holdings.of("the one that is back"), "assignment after coming back");
            Check.expectEqual(rebalances, holdings.rebalances("the one that stays"), "rebalances of who stayed");
            back.expectFenced();
            // The fenced one learns of it only later, so that its holdings are none of the usurper's.
            Holdings seized = new Holdings();
            try (Member usurper = new Member(check, "the usurper", seized, range, ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, "leaves")) {
                holdings.await("fencing", () -> back.problem() instanceof FencedInstanceIdException);
                seized.await("two for the usurper", () -> seized.of("the usurper").equals(before));
            }
            back.close();
        }
    }
}
