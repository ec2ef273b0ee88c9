import java.util.Map;
import org.apache.kafka.clients.producer.Partitioner;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.utils.Utils;

/** The tutorial's partitioner: by the murmur2 hash of the value. */
public class MyPartitioner implements Partitioner {
    @Override
    public int partition(String topic, Object key, byte[] keyBytes, Object value, byte[] valueBytes, Cluster cluster) {
        int partitionCount = cluster.partitionsForTopic(topic).size();
        if (partitionCount > 1) {
            return expected(valueBytes, partitionCount);
        }
        return 0;
    }

    static int expected(byte[] valueBytes, int partitionCount) {
        return Utils.toPositive(Utils.murmur2(valueBytes)) % partitionCount;
    }

    @Override
    public void close() {}

    @Override
    public void configure(Map<String, ?> configs) {}
}
