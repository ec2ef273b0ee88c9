import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** One member of a group on a thread of its own; commits before it gives partitions away, and reports to {@link Holdings}. */
class Member implements AutoCloseable, ConsumerRebalanceListener {
    private final String name;
    private final Holdings holdings;
    private final KafkaConsumer<String, String> consumer;
    private final Thread thread;
    private volatile boolean ending;
    private volatile boolean fencingExpected;
    private volatile RuntimeException problem;

    Member(Check check, String name, Holdings holdings, String assignor, Object... extra) {
        this.name = name;
        this.holdings = holdings;
        // Without an assignor the broker assigns: the newer protocol.
        Object[] strategy = assignor == null
                ? new Object[] {GroupChecks.PROTOCOL, "consumer"}
                : new Object[] {ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, assignor};
        this.consumer = GroupChecks.consumer(check, Stream.concat(Arrays.stream(strategy), Arrays.stream(extra)).toArray());
        this.thread = new Thread(() -> consume(check.topic), name);
        thread.setDaemon(true);
        thread.start();
    }

    private void consume(String topic) {
        try (consumer) {
            consumer.subscribe(List.of(topic), this);
            while (!ending) {
                consumer.poll(Duration.ofMillis(100)).forEach(holdings::note);
            }
        } catch (RuntimeException seen) {
            problem = seen;
            if (fencingExpected) {
                holdings.changed();
            } else {
                holdings.fail(new AssertionError(name + ": " + seen, seen));
            }
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        holdings.took(name, partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        consumer.commitSync();
        holdings.gave(name, partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        holdings.gave(name, partitions);
    }

    void expectFenced() {
        fencingExpected = true;
    }

    RuntimeException problem() {
        return problem;
    }

    @Override
    public void close() throws InterruptedException {
        ending = true;
        thread.join(Check.PATIENCE_MS);
        Check.expect(!thread.isAlive(), name + " did not close in time");
    }
}
