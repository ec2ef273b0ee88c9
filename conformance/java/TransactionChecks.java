import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTxnTimeoutException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** The transactional producer, and the loop that consumes, transforms and produces. Ids and groups are named as the topic is. */
class TransactionChecks {
    private static final int PARTITIONS = 3;

    private final Check check;

    TransactionChecks(Check check) {
        this.check = check;
    }

    private KafkaProducer<String, String> transactional(Object... extra) {
        Object[] settings = new Object[extra.length + 4];
        settings[0] = ProducerConfig.TRANSACTIONAL_ID_CONFIG;
        settings[1] = check.topic;
        settings[2] = ProducerConfig.LINGER_MS_CONFIG;
        settings[3] = 0;
        System.arraycopy(extra, 0, settings, 4, extra.length);
        return check.producer(settings);
    }

    private KafkaConsumer<String, String> reader(String isolation) {
        Properties properties = new Properties();
        properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, check.bootstrap);
        properties.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        properties.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        properties.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, isolation);
        properties.put(ConsumerConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) Check.PATIENCE_MS);
        return new KafkaConsumer<>(properties);
    }

    private List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (int partition = 0; partition < count; partition++) {
            partitions.add(new TopicPartition(topic, partition));
        }
        return partitions;
    }

    /** Everything up to the end that this isolation sees now. */
    private List<String> readAll(String topic, int count, String isolation) {
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = reader(isolation)) {
            List<TopicPartition> partitions = partitions(topic, count);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    values.add(record.value());
                }
                Check.expect(System.currentTimeMillis() < deadline, "read " + values + " and not up to " + ends);
            }
        }
        values.sort(null);
        return values;
    }

    private long end(int partition, String isolation) {
        try (KafkaConsumer<String, String> consumer = reader(isolation)) {
            TopicPartition asked = new TopicPartition(check.topic, partition);
            return consumer.endOffsets(List.of(asked)).get(asked);
        }
    }

    /** The end of a transaction is answered before its markers are written. */
    private void awaitStable(int partition, long offset) throws Exception {
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        while (end(partition, "read_committed") != offset) {
            Check.expect(System.currentTimeMillis() < deadline, "the last stable offset is " + end(partition, "read_committed") + ", not " + offset);
            Thread.sleep(10);
        }
    }

    private void send(KafkaProducer<String, String> producer, int partition, String value) throws Exception {
        producer.send(new ProducerRecord<>(check.topic, partition, null, value)).get();
    }

    void commitAndAbort() throws Exception {
        check.createTopic(PARTITIONS);
        try (KafkaProducer<String, String> producer = transactional()) {
            producer.initTransactions();
            producer.beginTransaction();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                send(producer, partition, "committed " + partition);
            }
            Check.expectEqual(0L, end(0, "read_committed"), "last stable offset while the transaction is open");
            Check.expectEqual(1L, end(0, "read_uncommitted"), "high watermark while the transaction is open");
            Check.expectEqual(List.of(), readAll(check.topic, PARTITIONS, "read_committed"), "committed while the transaction is open");
            producer.commitTransaction();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                awaitStable(partition, 2);
            }
            producer.beginTransaction();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                send(producer, partition, "aborted " + partition);
            }
            producer.abortTransaction();
            awaitStable(0, 4);
            // Nothing in them.
            producer.beginTransaction();
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, 0, "last");
            producer.commitTransaction();
            awaitStable(0, 6);
            awaitStable(1, 4);
        }
        List<String> committed = List.of("committed 0", "committed 1", "committed 2", "last");
        Check.expectEqual(committed, readAll(check.topic, PARTITIONS, "read_committed"), "read_committed");
        List<String> all = new ArrayList<>(committed);
        all.addAll(List.of("aborted 0", "aborted 1", "aborted 2"));
        all.sort(null);
        Check.expectEqual(all, readAll(check.topic, PARTITIONS, "read_uncommitted"), "read_uncommitted");
    }

    void fencing() throws Exception {
        check.createTopic(1);
        try (KafkaProducer<String, String> older = transactional(); KafkaProducer<String, String> newer = transactional()) {
            older.initTransactions();
            older.beginTransaction();
            send(older, 0, "of the older");
            newer.initTransactions();
            newer.beginTransaction();
            send(newer, 0, "of the newer");
            Exception fenced = null;
            try {
                send(older, 0, "too late");
                older.commitTransaction();
            } catch (Exception seen) {
                fenced = seen;
            }
            Check.expect(isFenced(fenced), "the older producer was told " + fenced);
            newer.commitTransaction();
        }
        Check.expectEqual(List.of("of the newer"), readAll(check.topic, 1, "read_committed"), "after the fencing");
    }

    private static boolean isFenced(Throwable seen) {
        for (Throwable cause = seen; cause != null; cause = cause.getCause()) {
            // Through a batch that was refused a client may hear of the epoch instead.
            if (cause instanceof ProducerFencedException || cause.getClass().getSimpleName().equals("InvalidProducerEpochException")) {
                return true;
            }
        }
        return false;
    }

    void timeout() throws Exception {
        check.createTopic(1);
        try (KafkaProducer<String, String> greedy = transactional(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, 900_001)) {
            Exception refused = null;
            try {
                greedy.initTransactions();
            } catch (KafkaException seen) {
                refused = seen;
            }
            // The newest client has the broker's text, but not its class any more.
            boolean isRefused = refused instanceof InvalidTxnTimeoutException || refused != null && String.valueOf(refused.getMessage()).contains("larger than the maximum value allowed by the broker");
            Check.expect(isRefused, "a timeout above the maximum was answered by " + refused);
        }
        try (KafkaProducer<String, String> silent = transactional(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, 1_000)) {
            silent.initTransactions();
            silent.beginTransaction();
            send(silent, 0, "never committed");
            awaitStable(0, 2);
            Exception refused = null;
            try {
                silent.commitTransaction();
            } catch (KafkaException seen) {
                refused = seen;
            }
            Check.expect(refused != null, "a transaction was committed that its time had ended");
        }
        try (KafkaProducer<String, String> next = transactional()) {
            next.initTransactions();
            next.beginTransaction();
            send(next, 0, "of the next");
            next.commitTransaction();
        }
        Check.expectEqual(List.of("of the next"), readAll(check.topic, 1, "read_committed"), "after the timeout");
    }

    void many() throws Exception {
        int wide = 50;
        check.createTopic(wide);
        List<String> expected = new ArrayList<>();
        try (KafkaProducer<String, String> producer = transactional(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4")) {
            producer.initTransactions();
            for (int n = 0; n < 200; n++) {
                producer.beginTransaction();
                boolean commit = n % 4 != 3;
                int last = n % 20 == 0 ? wide : 2;
                for (int partition = 0; partition < last; partition++) {
                    String value = "transaction " + n + " partition " + partition;
                    producer.send(new ProducerRecord<>(check.topic, partition, null, value));
                    if (commit) {
                        expected.add(value);
                    }
                }
                // Since KIP-890 the client's end of a transaction can overtake records that it has not sent yet, if
                // its own thread is held up at the wrong moment. They would then be part of the next one.
                producer.flush();
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        expected.sort(null);
        for (int partition = 0; partition < wide; partition++) {
            awaitStable(partition, end(partition, "read_uncommitted"));
        }
        Check.expectEqual(expected, readAll(check.topic, wide, "read_committed"), "records of 200 transactions");
    }

    /** Consumes numbers and produces their doubles, a third of the transactions aborted and tried again. */
    void loop(String protocol) throws Exception {
        check.createTopic(PARTITIONS);
        String output = check.topic + "-out";
        new Check(check.bootstrap, output).createTopic(2);
        int count = 60;
        try (KafkaProducer<String, String> producer = check.producer()) {
            for (int n = 0; n < count; n++) {
                producer.send(new ProducerRecord<>(check.topic, n % PARTITIONS, null, Integer.toString(n)));
            }
            producer.flush();
        }
        ConsumerGroupMetadata stale;
        int transactions = 0;
        try (KafkaProducer<String, String> producer = transactional();
                KafkaConsumer<String, String> consumer = GroupChecks.consumer(check, GroupChecks.PROTOCOL, protocol,
                        ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed", ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 5)) {
            producer.initTransactions();
            consumer.subscribe(List.of(check.topic));
            Set<Integer> done = new TreeSet<>();
            long deadline = System.currentTimeMillis() + 2 * Check.PATIENCE_MS;
            while (done.size() < count) {
                Check.expect(System.currentTimeMillis() < deadline, "the loop did " + done.size() + " of " + count);
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                List<Integer> numbers = new ArrayList<>();
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    numbers.add(Integer.parseInt(record.value()));
                    offsets.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
                }
                if (numbers.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                for (int number : numbers) {
                    producer.send(new ProducerRecord<>(output, number % 2, null, Integer.toString(2 * number)));
                }
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                if (transactions++ % 3 == 1) {
                    producer.abortTransaction();
                    Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
                    for (TopicPartition partition : consumer.assignment()) {
                        OffsetAndMetadata known = committed.get(partition);
                        consumer.seek(partition, known == null ? 0 : known.offset());
                    }
                } else {
                    producer.commitTransaction();
                    done.addAll(numbers);
                }
            }
            Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(Set.copyOf(partitions(check.topic, PARTITIONS)));
            for (TopicPartition partition : partitions(check.topic, PARTITIONS)) {
                Check.expectEqual((long) count / PARTITIONS, committed.get(partition).offset(), "committed offset of " + partition);
            }
            stale = consumer.groupMetadata();
        }
        TreeMap<Integer, Integer> doubles = new TreeMap<>();
        for (String value : readAll(output, 2, "read_committed")) {
            doubles.merge(Integer.parseInt(value), 1, Integer::sum);
        }
        Check.expectEqual(count, doubles.size(), "different numbers in the output");
        Check.expect(doubles.values().stream().allMatch(times -> times == 1), "the output has a number twice: " + doubles);
        Check.expect(transactions > count / 5, "nothing was aborted");
        // A member that has left may not commit any more (KIP-447). Who could not say goodbye has left later.
        GroupAdminChecks.awaitEmpty(check, stale.groupId());
        try (KafkaProducer<String, String> producer = transactional()) {
            producer.initTransactions();
            producer.beginTransaction();
            Exception refused = null;
            try {
                producer.sendOffsetsToTransaction(Map.of(new TopicPartition(check.topic, 0), new OffsetAndMetadata(1)), stale);
                producer.commitTransaction();
            } catch (CommitFailedException seen) {
                refused = seen;
            } catch (KafkaException seen) {
                refused = seen.getCause() instanceof CommitFailedException || seen.getClass().getSimpleName().contains("Abort") ? seen : null;
                Check.expect(refused != null, "offsets of a member that left: " + seen);
            }
            Check.expect(refused != null, "offsets of a member that left were taken");
            producer.abortTransaction();
        }
    }

    void admin() throws Exception {
        check.createTopic(1);
        TopicPartition partition = new TopicPartition(check.topic, 0);
        try (KafkaProducer<String, String> producer = transactional(); Admin admin = check.admin()) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, 0, "open");
            TransactionDescription described = admin.describeTransactions(List.of(check.topic)).description(check.topic).get();
            Check.expectEqual(TransactionState.ONGOING, described.state(), "state");
            Check.expectEqual(Set.of(partition), described.topicPartitions(), "partitions");
            Check.expect(described.transactionStartTimeMs().isPresent(), "the transaction has no start");
            long listed = admin.listTransactions().all().get().stream()
                    .filter(one -> one.transactionalId().equals(check.topic) && one.state() == TransactionState.ONGOING && one.producerId() == described.producerId())
                    .count();
            Check.expectEqual(1L, listed, "listed transactions of that id");
            var states = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
            Check.expectEqual(1, states.size(), "active producers");
            Check.expectEqual(0L, states.get(0).currentTransactionStartOffset().getAsLong(), "start of the open transaction");
            Check.expectEqual(described.producerId(), states.get(0).producerId(), "producer id");
            try (KafkaProducer<String, String> newer = transactional()) {
                newer.initTransactions();
            }
            awaitStable(0, 2);
            Exception fenced = null;
            try {
                producer.commitTransaction();
            } catch (KafkaException seen) {
                fenced = seen;
            }
            Check.expect(isFenced(fenced), "the fenced producer was told " + fenced);
            Check.expectEqual(List.of(), readAll(check.topic, 1, "read_committed"), "after the fencing");
        }
    }
}
