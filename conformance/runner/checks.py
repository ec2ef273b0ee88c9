"""The list of every check, with the exact versions of every client."""
from . import go_clients, group_tools, hostile_frames, java_clients, kafka_tools, kcat_client, node_clients, python_clients, streams, transaction_tools

# Apache Kafka's broker and tools.
KAFKA_TOOLS = "4.1.2"
# The release of the tutorial and the newest one.
KAFKA_CLIENTS = ["3.1.0", "4.4.0"]
SARAMA = ["1.29.0", "1.40.1", "1.61.1"]
KAFKA_GO = ["0.4.25", "0.4.47", "0.4.51"]
CONFLUENT_KAFKA = "2.16.1"
KAFKA_PYTHON = ["2.0.2", "3.0.12"]
AIOKAFKA = "0.14.0"
KAFKAJS = "2.2.4"


def all_checks():
    return [
        *go_clients.sarama(SARAMA),
        *go_clients.kafka_go(KAFKA_GO),
        *java_clients.checks(KAFKA_CLIENTS),
        *streams.checks(KAFKA_TOOLS),
        *kafka_tools.checks(KAFKA_TOOLS),
        *group_tools.checks(KAFKA_TOOLS),
        *transaction_tools.checks(KAFKA_TOOLS),
        *kcat_client.checks(),
        *python_clients.confluent(CONFLUENT_KAFKA),
        *python_clients.kafka_python(KAFKA_PYTHON),
        *python_clients.aiokafka(AIOKAFKA),
        *node_clients.checks(KAFKAJS),
        *hostile_frames.checks(),
    ]
