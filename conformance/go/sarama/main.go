// Sarama against a broker: the producers, standalone consumers and groups users copy from tutorials.
//
// The runner builds this one source against several releases and calls it as
// `sarama-check BOOTSTRAP TOPIC CHECK VERSION`, where VERSION is `default`, `max` or a Kafka
// version for `config.Version`. A check verifies what it read back and exits 1 with one clear
// line on the first difference. A group is named as its topic is.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// How long any single wait for the broker may take before the check gives up.
const patience = 20 * time.Second

// The version under which topics are prepared when the version under test is not the point.
const preparationVersion = "2.4.0"

type run struct {
	brokers []string
	topic   string
	version string
}

var checks = map[string]func(run) error{
	"sync":        checkSyncProducer,
	"async":       checkAsyncProducer,
	"partitions":  checkAllPartitions,
	"compression": checkCompression,
	"idempotent":  checkIdempotentProducer,
	"admin":       checkAdmin,
	"group":       checkGroup,
	"manual":      checkManualCommit,
	"two":         checkTwoMembers,
	"offsets":     checkOffsetManager,
}

func main() {
	if len(os.Args) != 5 {
		fail(fmt.Errorf("usage: sarama-check BOOTSTRAP TOPIC CHECK VERSION"))
	}
	check, known := checks[os.Args[3]]
	if !known {
		fail(fmt.Errorf("no check named %q", os.Args[3]))
	}
	if err := check(run{strings.Split(os.Args[1], ","), os.Args[2], os.Args[4]}); err != nil {
		fail(err)
	}
}

// How many replicas the runner wants topics to have.
func replicas() int16 {
	if wanted, err := strconv.Atoi(os.Getenv("CONFORMANCE_REPLICAS")); err == nil {
		return int16(wanted)
	}
	return 1
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (r run) config() (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Errors = true
	config.Producer.Return.Successes = true
	switch r.version {
	case "default":
	case "max":
		config.Version = sarama.MaxVersion
	default:
		version, err := sarama.ParseKafkaVersion(r.version)
		if err != nil {
			return nil, err
		}
		config.Version = version
	}
	return config, nil
}

// A topic with several partitions, made under a version every broker in question accepts.
func (r run) createTopic(partitions int32) error {
	preparation := r
	preparation.version = preparationVersion
	config, err := preparation.config()
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdmin(r.brokers, config)
	if err != nil {
		return fmt.Errorf("cluster admin: %w", err)
	}
	defer admin.Close()
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas()}
	if err := admin.CreateTopic(r.topic, detail, false); err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	return nil
}

// Tries until it holds or patience ends: what one request changed, another broker, or the same one a
// moment later, tells.
func eventually(attempt func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := attempt()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// A topic made a moment ago may not have its leaders yet, and a batch that is retried because of that
// may be overtaken by the next. Asking for metadata also makes the topic where nobody has.
func (r run) awaitLeaders(partitions int32) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	client, err := sarama.NewClient(r.brokers, config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer client.Close()
	return eventually(func() error {
		for partition := int32(0); partition < partitions; partition++ {
			if _, err := client.GetOffset(r.topic, partition, sarama.OffsetNewest); err != nil {
				return fmt.Errorf("offset of partition %d: %w", partition, err)
			}
		}
		return nil
	})
}

// The message of the tutorial: a header, a key, a value and the time of its making.
func message(topic string, n int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic:     topic,
		Headers:   []sarama.RecordHeader{{Key: []byte("k1"), Value: []byte(fmt.Sprintf("v%d", n))}},
		Key:       sarama.StringEncoder("myKey"),
		Value:     sarama.ByteEncoder(fmt.Sprintf("this is a test msg %d", n)),
		Timestamp: time.UnixMilli(1_700_000_000_000 + int64(n)),
	}
}
