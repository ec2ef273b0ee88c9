import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.ConfigResource.Type;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The admin client, one call after another, with the refusals a user meets. */
class AdminChecks {
    private final Check check;
    private final ConfigResource resource;

    AdminChecks(Check check) {
        this.check = check;
        this.resource = new ConfigResource(Type.TOPIC, check.topic);
    }

    void topics() throws Exception {
        try (Admin admin = check.admin()) {
            NewTopic topic = new NewTopic(check.topic, 2, Check.REPLICAS).configs(Map.of("retention.ms", "3600000"));
            admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(true)).all().get();
            Check.expect(!admin.listTopics().names().get().contains(check.topic), "validate-only made a topic");
            var created = admin.createTopics(List.of(topic));
            created.all().get();
            Check.expectEqual(2, created.numPartitions(check.topic).get(), "partitions of the answer");
            Check.expectEqual("3600000", created.config(check.topic).get().get("retention.ms").value(), "config of the answer");
            refused(TopicExistsException.class, admin.createTopics(List.of(topic)).all());
            refused(InvalidTopicException.class, create(admin, "a/b", 1, 1));
            refused(InvalidPartitionsException.class, create(admin, check.topic + "-zero", 0, 1));
            refused(InvalidReplicationFactorException.class, create(admin, check.topic + "-many", 1, 9));
            expectDescribed(admin, 2);
            admin.createPartitions(Map.of(check.topic, NewPartitions.increaseTo(4))).all().get();
            expectDescribed(admin, 4);
            refused(InvalidPartitionsException.class, admin.createPartitions(Map.of(check.topic, NewPartitions.increaseTo(3))).all());
            admin.deleteTopics(List.of(check.topic)).all().get();
            refused(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(check.topic)).all());
            awaitGone(admin);
        }
    }

    private static KafkaFuture<Void> create(Admin admin, String name, int partitions, int replicas) {
        return admin.createTopics(List.of(new NewTopic(name, partitions, (short) replicas))).all();
    }

    private void expectDescribed(Admin admin, int partitions) throws Exception {
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        TopicDescription described;
        do {
            described = describeOnceKnown(admin, deadline);
            Check.expect(System.currentTimeMillis() < deadline, "the topic keeps " + described.partitions().size() + " partitions");
        } while (described.partitions().size() != partitions || described.partitions().stream().anyMatch(each -> each.leader() == null));
        Check.expect(!described.isInternal(), "the topic is called internal");
        for (int i = 0; i < partitions; i++) {
            Check.expectEqual(i, described.partitions().get(i).partition(), "partition");
            Check.expectEqual((int) Check.REPLICAS, described.partitions().get(i).replicas().size(), "number of replicas");
            Check.expect(!described.partitions().get(i).isr().isEmpty(), "nobody is in sync");
        }
    }

    private TopicDescription describeOnceKnown(Admin admin, long deadline) throws Exception {
        while (true) {
            try {
                return admin.describeTopics(List.of(check.topic)).allTopicNames().get().get(check.topic);
            } catch (ExecutionException problem) {
                boolean unknown = problem.getCause() instanceof UnknownTopicOrPartitionException;
                if (!unknown || System.currentTimeMillis() > deadline) {
                    throw problem;
                }
            }
        }
    }

    private void awaitGone(Admin admin) throws Exception {
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        while (admin.listTopics().names().get().contains(check.topic)) {
            Check.expect(System.currentTimeMillis() < deadline, "the deleted topic is still listed");
        }
    }

    void configs() throws Exception {
        check.createTopic(1);
        try (Admin admin = check.admin()) {
            Check.expectEqual("86400000", describe(admin).get("delete.retention.ms").value(), "delete.retention.ms");
            Check.expect(describe(admin).get("delete.retention.ms").isDefault(), "an untouched config is not called default");
            Check.expectEqual(ConfigEntry.ConfigSource.DEFAULT_CONFIG, describe(admin).get("delete.retention.ms").source(), "its source");
            String untouched = describe(admin).get("retention.ms").value();
            alter(admin, AlterConfigOp.OpType.SET, "retention.ms", "5000").get();
            await(admin, "retention.ms", "5000");
            ConfigEntry entry = describe(admin).get("retention.ms");
            Check.expectEqual(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry.source(), "source");
            Check.expectEqual(ConfigEntry.ConfigType.LONG, entry.type(), "type");
            Check.expect(entry.documentation() != null && !entry.documentation().isEmpty(), "retention.ms has no documentation");
            alter(admin, AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact").get();
            await(admin, "cleanup.policy", "delete,compact");
            alter(admin, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete").get();
            await(admin, "cleanup.policy", "compact");
            alter(admin, AlterConfigOp.OpType.DELETE, "cleanup.policy", "").get();
            await(admin, "cleanup.policy", "delete");
            refused(InvalidConfigurationException.class, alter(admin, AlterConfigOp.OpType.SET, "retention.ms", "abc"));
            refused(InvalidConfigurationException.class, alter(admin, AlterConfigOp.OpType.SET, "no.such.key", "1"));
            replaceAll(admin, untouched);
            expectBrokerConfigs(admin);
        }
    }

    private KafkaFuture<Void> alter(Admin admin, AlterConfigOp.OpType operation, String key, String value) {
        return admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(key, value), operation)))).all();
    }

    private Config describe(Admin admin) throws Exception {
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return admin.describeConfigs(List.of(resource), options).all().get().get(resource);
    }

    private void await(Admin admin, String key, String want) throws Exception {
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        while (!want.equals(describe(admin).get(key).value())) {
            Check.expect(System.currentTimeMillis() < deadline, key + " stays " + describe(admin).get(key).value() + ", want " + want);
        }
    }

    /** AlterConfigs, which drops every override it does not name; newer clients no longer have it. */
    private void replaceAll(Admin admin, String untouched) throws Exception {
        java.lang.reflect.Method method;
        try {
            method = Admin.class.getMethod("alterConfigs", Map.class);
        } catch (NoSuchMethodException removed) {
            return;
        }
        Config replacement = new Config(Set.of(new ConfigEntry("flush.messages", "7")));
        Object result = method.invoke(admin, Map.of(resource, replacement));
        ((KafkaFuture<?>) result.getClass().getMethod("all").invoke(result)).get();
        await(admin, "flush.messages", "7");
        Check.expectEqual(untouched, describe(admin).get("retention.ms").value(), "retention.ms after a full replacement");
    }

    private static void expectBrokerConfigs(Admin admin) throws Exception {
        Node node = admin.describeCluster().nodes().get().iterator().next();
        ConfigResource broker = new ConfigResource(Type.BROKER, node.idString());
        Config config = admin.describeConfigs(List.of(broker)).all().get().get(broker);
        for (String key : List.of("log.retention.hours", "num.partitions", "auto.create.topics.enable", "advertised.listeners")) {
            Check.expect(config.get(key) != null, "the broker does not describe " + key);
        }
        Check.expect(config.get("num.partitions").isReadOnly(), "num.partitions is not called read-only");
        Check.expect(config.get("ssl.keystore.password").isSensitive(), "ssl.keystore.password is not called sensitive");
    }

    void cluster() throws Exception {
        check.createTopic(1);
        try (Admin admin = check.admin()) {
            var cluster = admin.describeCluster();
            Collection<Node> nodes = cluster.nodes().get();
            Check.expect(!nodes.isEmpty(), "no nodes");
            Check.expect(cluster.clusterId().get().length() == 22, "cluster id " + cluster.clusterId().get());
            Node controller = cluster.controller().get();
            Check.expect(nodes.contains(controller), "controller " + controller + " is not among the nodes " + nodes);
            int broker = nodes.iterator().next().id();
            Map<String, LogDirDescription> dirs = admin.describeLogDirs(List.of(broker)).allDescriptions().get().get(broker);
            TopicPartition partition = new TopicPartition(check.topic, 0);
            long holders = dirs.values().stream().filter(dir -> dir.replicaInfos().containsKey(partition)).count();
            Check.expectEqual(1L, holders, "number of directories with the partition");
            LogDirDescription dir = dirs.values().iterator().next();
            Check.expect(dir.error() == null, "a log directory reports " + dir.error());
            try (KafkaProducer<String, String> producer = check.producer("enable.idempotence", true)) {
                producer.send(new ProducerRecord<>(check.topic, 0, "k", "v")).get();
                var producers = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
                Check.expectEqual(1, producers.size(), "number of active producers");
                Check.expectEqual(0, producers.get(0).lastSequence(), "last sequence");
            }
        }
    }

    void recordsAndOffsets() throws Exception {
        check.createTopic(1);
        TopicPartition partition = new TopicPartition(check.topic, 0);
        try (KafkaProducer<String, String> producer = check.producer()) {
            for (int i = 0; i < 10; i++) {
                long time = 1_700_000_000_000L + (i == 6 ? 100_000 : i * 1000L);
                producer.send(new ProducerRecord<>(check.topic, 0, time, "k" + i, "v" + i)).get();
            }
        }
        try (Admin admin = check.admin()) {
            expectOffset(admin, partition, OffsetSpec.earliest(), 0, -1);
            expectOffset(admin, partition, OffsetSpec.latest(), 10, -1);
            expectOffset(admin, partition, OffsetSpec.maxTimestamp(), 6, 1_700_000_100_000L);
            expectOffset(admin, partition, OffsetSpec.forTimestamp(1_700_000_003_500L), 4, 1_700_000_004_000L);
            expectOffset(admin, partition, OffsetSpec.forTimestamp(1_800_000_000_000L), -1, -1);
            long low = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4)))
                    .lowWatermarks().get(partition).get().lowWatermark();
            Check.expectEqual(4L, low, "low watermark");
            expectOffset(admin, partition, OffsetSpec.earliest(), 4, -1);
            refused(OffsetOutOfRangeException.class, admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(99))).all());
            Check.expectEqual("v4", new ConsumerChecks(check).read(0, 4, 6).get(0).value(), "first record left");
        }
    }

    private static void expectOffset(Admin admin, TopicPartition partition, OffsetSpec spec, long offset, long timestamp) throws Exception {
        ListOffsetsResultInfo found = admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get();
        String name = spec.getClass().getSimpleName();
        Check.expectEqual(offset, found.offset(), "offset of " + name);
        Check.expectEqual(timestamp, found.timestamp(), "timestamp of " + name);
    }

    static void refused(Class<? extends Exception> reason, KafkaFuture<?> future) throws Exception {
        try {
            future.get();
        } catch (ExecutionException refusal) {
            Check.expect(reason.isInstance(refusal.getCause()), "refused with " + refusal.getCause() + ", want " + reason.getSimpleName());
            return;
        }
        throw new AssertionError("accepted what should be refused with " + reason.getSimpleName());
    }
}
