import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/** The tutorial's producers. */
class ProducerChecks {
    private final Check check;

    ProducerChecks(Check check) {
        this.check = check;
    }

    /** Asynchronous with a callback, then synchronous with get(); the topic is made by asking for it. */
    void callbackAndGet() throws Exception {
        List<RecordMetadata> delivered = new ArrayList<>();
        List<Exception> problems = new ArrayList<>();
        try (KafkaProducer<String, String> producer = check.producer(
                ProducerConfig.ACKS_CONFIG, "all", ProducerConfig.RETRIES_CONFIG, 3)) {
            for (int i = 0; i < 5; i++) {
                producer.send(new ProducerRecord<>(check.topic, "k" + i, "v" + i), (metadata, exception) -> {
                    if (exception == null) {
                        delivered.add(metadata);
                    } else {
                        problems.add(exception);
                    }
                });
            }
            producer.flush();
            for (int i = 5; i < 10; i++) {
                RecordMetadata metadata = producer.send(new ProducerRecord<>(check.topic, "k" + i, "v" + i))
                        .get(Check.PATIENCE_MS, TimeUnit.MILLISECONDS);
                Check.expectEqual((long) i, metadata.offset(), "offset of the synchronous record " + i);
            }
        }
        Check.expect(problems.isEmpty(), "callbacks reported " + problems);
        Check.expectEqual(5, delivered.size(), "number of callbacks");
        expectInOrder(0, 10);
    }

    /** MyPartitioner with the tutorial's tuning: snappy, acks all, three retries, a linger. */
    void customPartitioner() throws Exception {
        check.createTopic(3);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = check.producer(
                ProducerConfig.PARTITIONER_CLASS_CONFIG, MyPartitioner.class.getName(),
                ProducerConfig.BATCH_SIZE_CONFIG, 16 * 1024,
                ProducerConfig.LINGER_MS_CONFIG, 100,
                ProducerConfig.COMPRESSION_TYPE_CONFIG, "snappy",
                ProducerConfig.BUFFER_MEMORY_CONFIG, 64 * 1024 * 1024,
                ProducerConfig.ACKS_CONFIG, "all",
                ProducerConfig.RETRIES_CONFIG, 3)) {
            for (int i = 0; i < 30; i++) {
                sent.add(producer.send(new ProducerRecord<>(check.topic, "k" + i, "v" + i)));
            }
        }
        for (int i = 0; i < sent.size(); i++) {
            int want = MyPartitioner.expected(("v" + i).getBytes(StandardCharsets.UTF_8), 3);
            Check.expectEqual(want, sent.get(i).get().partition(), "partition of v" + i);
        }
    }

    /** With nothing said about acks or idempotence; enough batches to pass the five in flight. */
    void idempotentByDefault() throws Exception {
        try (KafkaProducer<String, String> producer = check.producer(ProducerConfig.BATCH_SIZE_CONFIG, 64)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 500; i++) {
                sent.add(producer.send(new ProducerRecord<>(check.topic, 0, "k" + i, "v" + i)));
            }
            for (int i = 0; i < sent.size(); i++) {
                long offset = sent.get(i).get(Check.PATIENCE_MS, TimeUnit.MILLISECONDS).offset();
                Check.expectEqual((long) i, offset, "offset of record " + i);
            }
        }
        expectInOrder(0, 500);
    }

    void everyCodec() throws Exception {
        long from = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (KafkaProducer<String, String> producer = check.producer(
                    ProducerConfig.COMPRESSION_TYPE_CONFIG, codec, ProducerConfig.LINGER_MS_CONFIG, 20)) {
                for (long i = from; i < from + 100; i++) {
                    producer.send(new ProducerRecord<>(check.topic, 0, "k" + i, "v" + i));
                }
            }
            from += 100;
            expectInOrder(from - 100, from);
        }
    }

    private void expectInOrder(long from, long to) {
        List<ConsumerRecord<String, String>> records = new ConsumerChecks(check).read(0, from, (int) (to - from));
        long next = from;
        for (ConsumerRecord<String, String> record : records) {
            Check.expectEqual(next, record.offset(), "offset");
            Check.expectEqual("k" + next, record.key(), "key at offset " + next);
            Check.expectEqual("v" + next, record.value(), "value at offset " + next);
            next++;
        }
    }
}
