import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Consumer groups of KIP-848 beyond their simple use: rolling from one protocol to the other, subscriptions by expression. */
class MigrationChecks {
    private static final int PARTITIONS = 4;

    private final Check check;
    private final GroupChecks groups;
    private final Holdings holdings = new Holdings();

    MigrationChecks(Check check) {
        this.check = check;
        this.groups = new GroupChecks(check);
    }

    /**
     * Members of the classic protocol are replaced by ones of the consumer protocol, one by one, and back, with members of
     * both in the group on the way. Nobody holds what another holds, and each record is read once.
     */
    void rolling(String assignor) throws Exception {
        check.createTopic(PARTITIONS);
        groups.fill(PARTITIONS, 0, 10);
        String strategy = "org.apache.kafka.clients.consumer." + assignor;
        Member first = new Member(check, "classic 1", holdings, strategy);
        Member second = new Member(check, "classic 2", holdings, strategy);
        settled("two classic members", 10, "classic 1", "classic 2");

        Member third = new Member(check, "consumer 1", holdings, null);
        settled("a member of each protocol", -1, "classic 1", "classic 2", "consumer 1");
        first.close();
        settled("one of each", -1, "classic 2", "consumer 1");
        Member fourth = new Member(check, "consumer 2", holdings, null);
        settled("one classic member left", -1, "classic 2", "consumer 1", "consumer 2");
        second.close();
        settled("the new protocol", -1, "consumer 1", "consumer 2");
        groups.fill(PARTITIONS, 10, 10);
        settled("reading after the upgrade", 20, "consumer 1", "consumer 2");

        Member fifth = new Member(check, "classic 3", holdings, strategy);
        settled("a classic member back", -1, "consumer 1", "consumer 2", "classic 3");
        third.close();
        settled("one of each again", -1, "consumer 2", "classic 3");
        fourth.close();
        settled("the old protocol", -1, "classic 3");
        Member sixth = new Member(check, "classic 4", holdings, strategy);
        groups.fill(PARTITIONS, 20, 10);
        settled("reading after the downgrade", 30, "classic 3", "classic 4");
        fifth.close();
        sixth.close();
        holdings.expectEachOnce(PARTITIONS, 30);
    }

    /** Waits until these members hold all there is, no one more than one partition above the others. */
    private void settled(String what, int read, String... members) throws InterruptedException {
        holdings.await(what, () -> {
            int held = 0;
            for (String member : members) {
                int count = holdings.count(member);
                if (count < PARTITIONS / members.length || count > (PARTITIONS + members.length - 1) / members.length) {
                    return false;
                }
                held += count;
            }
            return held == PARTITIONS && (read < 0 || holdings.readOfEach(PARTITIONS, read));
        });
    }

    /** The broker resolves the expression; a topic that comes later and matches is read too. */
    void expression() throws Exception {
        String early = check.topic + "-early";
        String late = check.topic + "-late";
        make(early);
        make(check.topic);
        try (KafkaConsumer<String, String> consumer = GroupChecks.consumer(check, GroupChecks.PROTOCOL, "consumer")) {
            subscribe(consumer, check.topic + "-.*");
            readFrom(consumer, early);
            make(late);
            readFrom(consumer, late);
            Check.expectEqual(Set.of(early, late), topicsOf(consumer), "topics assigned");
        }
        try (KafkaConsumer<String, String> consumer = GroupChecks.consumer(check, GroupChecks.PROTOCOL, "consumer")) {
            subscribe(consumer, "(");
            consumer.poll(Duration.ofMillis(Check.PATIENCE_MS));
            throw new AssertionError("an expression that is none was taken");
        } catch (RuntimeException refused) {
            Check.expectEqual("InvalidRegularExpression", refused.getClass().getSimpleName(), "refusal");
        }
    }

    private void make(String topic) throws Exception {
        try (Admin admin = check.admin(); KafkaProducer<String, String> producer = check.producer()) {
            admin.createTopics(List.of(new NewTopic(topic, 1, Check.REPLICAS))).all().get(Check.PATIENCE_MS, TimeUnit.MILLISECONDS);
            producer.send(new ProducerRecord<>(topic, "of " + topic)).get(Check.PATIENCE_MS, TimeUnit.MILLISECONDS);
        }
    }

    private static void readFrom(KafkaConsumer<String, String> consumer, String topic) {
        // A broker looks for new topics every ten seconds at most, and a member asks every five.
        long deadline = System.currentTimeMillis() + 2 * Check.PATIENCE_MS;
        Set<String> seen = new HashSet<>();
        while (!seen.contains("of " + topic)) {
            consumer.poll(Duration.ofMillis(100)).forEach(record -> seen.add(record.value()));
            Check.expect(System.currentTimeMillis() < deadline, "nothing of " + topic + " in time, only " + seen);
        }
        Check.expectEqual(Set.of("of " + topic), seen, "records read");
    }

    private static Set<String> topicsOf(KafkaConsumer<String, String> consumer) {
        Set<String> topics = new HashSet<>();
        consumer.assignment().forEach(partition -> topics.add(partition.topic()));
        return topics;
    }

    /** Older releases have no such class, and the checks are compiled against these too. */
    private static void subscribe(KafkaConsumer<String, String> consumer, String expression) throws Exception {
        Class<?> pattern = Class.forName("org.apache.kafka.clients.consumer.SubscriptionPattern");
        Object subscription = pattern.getConstructor(String.class).newInstance(expression);
        KafkaConsumer.class.getMethod("subscribe", pattern).invoke(consumer, subscription);
    }
}
