import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** The standalone consumer: assign and seek, no group. */
class ConsumerChecks {
    private final Check check;

    ConsumerChecks(Check check) {
        this.check = check;
    }

    KafkaConsumer<String, String> consumer() {
        Properties properties = new Properties();
        properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, check.bootstrap);
        properties.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        properties.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "none");
        properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        properties.put(ConsumerConfig.REQUEST_TIMEOUT_MS_CONFIG, (int) Check.PATIENCE_MS);
        properties.put(ConsumerConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) Check.PATIENCE_MS);
        return new KafkaConsumer<>(properties);
    }

    List<ConsumerRecord<String, String>> read(int partition, long from, int count) {
        try (KafkaConsumer<String, String> consumer = consumer()) {
            TopicPartition assigned = new TopicPartition(check.topic, partition);
            consumer.assign(List.of(assigned));
            consumer.seek(assigned, from);
            return poll(consumer, count);
        }
    }

    private List<ConsumerRecord<String, String>> poll(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        while (records.size() < count) {
            consumer.poll(Duration.ofMillis(500)).forEach(records::add);
            Check.expect(System.currentTimeMillis() < deadline, "got " + records.size() + " of " + count + " records in time");
        }
        return records;
    }

    void assignAndSeek() throws Exception {
        check.createTopic(2);
        try (KafkaProducer<String, String> producer = check.producer()) {
            for (int i = 0; i < 20; i++) {
                ProducerRecord<String, String> record =
                        new ProducerRecord<>(check.topic, i % 2, 1_700_000_000_000L + i * 1000L, "k" + i, "v" + i);
                record.headers().add("h", ("h" + i).getBytes(StandardCharsets.UTF_8));
                producer.send(record).get();
            }
        }
        TopicPartition even = new TopicPartition(check.topic, 0);
        TopicPartition odd = new TopicPartition(check.topic, 1);
        try (KafkaConsumer<String, String> consumer = consumer()) {
            List<PartitionInfo> partitions = consumer.partitionsFor(check.topic);
            Check.expectEqual(2, partitions.size(), "number of partitions");
            Check.expect(consumer.listTopics().containsKey(check.topic), "the topic is not listed");
            consumer.assign(List.of(even, odd));
            Check.expectEqual(Map.of(even, 10L, odd, 10L), consumer.endOffsets(List.of(even, odd)), "end offsets");
            Check.expectEqual(Map.of(even, 0L, odd, 0L), consumer.beginningOffsets(List.of(even, odd)), "beginning offsets");
            expectOffsetsForTimes(consumer, even, odd);
            consumer.seekToBeginning(List.of(even));
            consumer.seek(odd, 7);
            expectContents(poll(consumer, 13));
            consumer.seekToEnd(List.of(even, odd));
            Check.expectEqual(10L, consumer.position(even), "position at the end");
        }
    }

    private void expectOffsetsForTimes(KafkaConsumer<String, String> consumer, TopicPartition even, TopicPartition odd) {
        Map<TopicPartition, OffsetAndTimestamp> found =
                consumer.offsetsForTimes(Map.of(even, 1_700_000_000_000L + 5000, odd, 1_800_000_000_000L));
        Check.expectEqual(3L, found.get(even).offset(), "first offset of partition 0 at or after the time");
        Check.expectEqual(1_700_000_000_000L + 6000, found.get(even).timestamp(), "its timestamp");
        Check.expect(found.get(odd) == null, "a time after the last record found " + found.get(odd));
    }

    private void expectContents(List<ConsumerRecord<String, String>> records) {
        for (ConsumerRecord<String, String> record : records) {
            long i = record.offset() * 2 + record.partition();
            Check.expectEqual("k" + i, record.key(), "key");
            Check.expectEqual("v" + i, record.value(), "value");
            Check.expectEqual(1_700_000_000_000L + i * 1000, record.timestamp(), "timestamp");
            String header = new String(record.headers().lastHeader("h").value(), StandardCharsets.UTF_8);
            Check.expectEqual("h" + i, header, "header");
            Check.expect(record.partition() == 0 || record.offset() >= 7, "a record before the sought offset came");
        }
        Check.expectEqual(13, records.size(), "number of records");
    }
}
