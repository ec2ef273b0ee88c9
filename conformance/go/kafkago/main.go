// kafka-go against a broker: Conn, Writer, Reader and Client as users copy them from tutorials.
//
// The runner builds this one source against several releases and calls it as
// `kafkago-check BOOTSTRAP TOPIC CHECK`. A check verifies what it read back and exits 1 with one
// clear line on the first difference. A group is named as its topic is.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// How long a whole check may take before its context ends.
const patience = 40 * time.Second

type run struct {
	context   context.Context
	bootstrap string
	topic     string
}

func (r run) brokers() []string {
	return strings.Split(r.bootstrap, ",")
}

var checks = map[string]func(run) error{
	"conn":        checkConn,
	"conn-admin":  checkConnAdmin,
	"writer":      checkWriterAndReader,
	"compression": checkCompression,
	"client":      checkClient,
	"group":       checkGroupReader,
	"interval":    checkCommitInterval,
	"manual":      checkFetchAndCommit,
	"two":         checkTwoReaders,
}

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: kafkago-check BOOTSTRAP TOPIC CHECK"))
	}
	check, known := checks[os.Args[3]]
	if !known {
		fail(fmt.Errorf("no check named %q", os.Args[3]))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := check(run{ctx, os.Args[1], os.Args[2]}); err != nil {
		fail(err)
	}
}

// How many replicas the runner wants topics to have.
func replicas() int {
	if wanted, err := strconv.Atoi(os.Getenv("CONFORMANCE_REPLICAS")); err == nil {
		return wanted
	}
	return 1
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Dialling the leader of a topic that does not exist must create it; the first answers may say
// that it is still on its way.
func (r run) dialLeader() (*kafka.Conn, error) {
	for {
		conn, err := r.dialLeaderOf(0)
		if err == nil {
			return conn, nil
		}
		retriable, is := err.(kafka.Error)
		if !is || !(retriable.Temporary() || retriable == kafka.UnknownTopicOrPartition) || r.context.Err() != nil {
			return nil, fmt.Errorf("dial leader: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// DialLeader asks the one node it is given; another one may know when that is gone.
func (r run) dialLeaderOf(partition int) (conn *kafka.Conn, err error) {
	for _, broker := range r.brokers() {
		conn, err = kafka.DialLeader(r.context, "tcp", broker, r.topic, partition)
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Every topic the broker names, each once.
func listTopics(conn *kafka.Conn) (map[string]int, error) {
	partitions, err := conn.ReadPartitions()
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	topics := map[string]int{}
	for _, partition := range partitions {
		topics[partition.Topic]++
	}
	return topics, nil
}

func expectMessage(got kafka.Message, offset int64, key, value string) error {
	if got.Offset != offset || string(got.Key) != key || string(got.Value) != value {
		return fmt.Errorf("offset %d reads %q = %q, want %q = %q at %d", got.Offset, got.Key, got.Value, key, value, offset)
	}
	return nil
}
