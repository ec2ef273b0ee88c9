import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/** What the members of a group hold and have read; members on other threads report, the check waits. */
class Holdings {
    private final Map<TopicPartition, String> holders = new HashMap<>();
    private final Map<Integer, List<Long>> read = new HashMap<>();
    private final Map<String, Integer> rebalances = new HashMap<>();
    private AssertionError problem;

    synchronized void took(String name, Collection<TopicPartition> partitions) {
        rebalances.merge(name, 1, Integer::sum);
        for (TopicPartition partition : partitions) {
            String holder = holders.put(partition, name);
            if (holder != null) {
                fail(new AssertionError(partition + " was given to " + name + " while " + holder + " held it"));
            }
        }
        notifyAll();
    }

    synchronized void gave(String name, Collection<TopicPartition> partitions) {
        partitions.forEach(partition -> holders.remove(partition, name));
        notifyAll();
    }

    synchronized void note(ConsumerRecord<String, String> record) {
        if (!record.value().equals("p" + record.partition() + " m" + record.offset())) {
            fail(new AssertionError(record.partition() + " at " + record.offset() + " reads " + record.value()));
        }
        read.computeIfAbsent(record.partition(), none -> new ArrayList<>()).add(record.offset());
        notifyAll();
    }

    synchronized void fail(AssertionError seen) {
        problem = problem == null ? seen : problem;
        notifyAll();
    }

    synchronized void changed() {
        notifyAll();
    }

    synchronized int count(String name) {
        return of(name).size();
    }

    synchronized Set<TopicPartition> of(String name) {
        Set<TopicPartition> held = new HashSet<>(holders.keySet());
        held.removeIf(partition -> !holders.get(partition).equals(name));
        return held;
    }

    synchronized int rebalances(String name) {
        return rebalances.getOrDefault(name, 0);
    }

    synchronized boolean readOfEach(int partitions, int count) {
        for (int partition = 0; partition < partitions; partition++) {
            if (read(partition) < count) {
                return false;
            }
        }
        return true;
    }

    synchronized int read(int partition) {
        return read.getOrDefault(partition, List.of()).size();
    }

    /**
     * Where nodes are killed, each at least once: while a partition's leader moves the client does not commit its position,
     * and whoever is given the partition next reads again.
     */
    synchronized void expectEachOnce(int partitions, int count) {
        if (System.getenv().containsKey("CONFORMANCE_SECONDS")) {
            expectEach(partitions, count);
            return;
        }
        for (int partition = 0; partition < partitions; partition++) {
            List<Long> want = new ArrayList<>();
            for (long offset = 0; offset < count; offset++) {
                want.add(offset);
            }
            Check.expectEqual(want, read.get(partition), "offsets read of partition " + partition);
        }
    }

    synchronized void expectEach(int partitions, int count) {
        for (int partition = 0; partition < partitions; partition++) {
            Check.expectEqual((long) count, read.get(partition).stream().distinct().count(), "different offsets read of partition " + partition);
        }
    }

    synchronized void await(String what, BooleanSupplier holds) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Check.PATIENCE_MS);
        while (problem == null && !holds.getAsBoolean()) {
            long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
            Check.expect(left > 0, what + " did not come about in time; held: " + holders + ", read: " + read);
            wait(left);
        }
        if (problem != null) {
            throw problem;
        }
    }
}
