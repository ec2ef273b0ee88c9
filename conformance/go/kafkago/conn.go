package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// Dial, DialLeader with automatic creation, WriteMessages, ReadBatch, offsets.
func checkConn(r run) error {
	leader, err := r.dialLeader()
	if err != nil {
		return err
	}
	defer leader.Close()
	leader.SetDeadline(time.Now().Add(patience))
	if _, err := leader.WriteMessages(kafka.Message{Value: []byte("one")}, kafka.Message{Key: []byte("k"), Value: []byte("two")}); err != nil {
		return fmt.Errorf("write messages: %w", err)
	}
	conn, err := kafka.Dial("tcp", r.brokers()[0])
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	topics, err := listTopics(conn)
	if err != nil {
		return err
	}
	if topics[r.topic] != 1 {
		return fmt.Errorf("the created topic is listed with %d partitions", topics[r.topic])
	}
	return readBack(r)
}

func readBack(r run) error {
	reading, err := r.dialLeader()
	if err != nil {
		return err
	}
	defer reading.Close()
	first, last, err := reading.ReadOffsets()
	if err != nil || first != 0 || last != 2 {
		return fmt.Errorf("offsets are %d to %d (%v), want 0 to 2", first, last, err)
	}
	if _, err := reading.Seek(0, kafka.SeekStart); err != nil {
		return fmt.Errorf("seek: %w", err)
	}
	reading.SetReadDeadline(time.Now().Add(10 * time.Second))
	batch := reading.ReadBatch(1, 1e6)
	for offset, want := range []string{"one", "two"} {
		got, err := batch.ReadMessage()
		if err != nil {
			return fmt.Errorf("read message %d: %w", offset, err)
		}
		if string(got.Value) != want || got.Offset != int64(offset) {
			return fmt.Errorf("offset %d reads %q, want %q at %d", got.Offset, got.Value, want, offset)
		}
	}
	if err := batch.Close(); err != nil {
		return fmt.Errorf("close batch: %w", err)
	}
	return nil
}

// CreateTopics and DeleteTopics through the controller, as the project's page shows.
func checkConnAdmin(r run) error {
	conn, err := kafka.Dial("tcp", r.brokers()[0])
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	controller, err := conn.Controller()
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	admin, err := kafka.Dial("tcp", net.JoinHostPort(controller.Host, strconv.Itoa(controller.Port)))
	if err != nil {
		return fmt.Errorf("dial controller: %w", err)
	}
	defer admin.Close()
	config := kafka.TopicConfig{
		Topic: r.topic, NumPartitions: 3, ReplicationFactor: replicas(),
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "3600000"}},
	}
	if err := admin.CreateTopics(config); err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	if err := awaitPartitions(conn, r.topic, 3); err != nil {
		return err
	}
	if err := admin.DeleteTopics(r.topic); err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	return awaitPartitions(conn, r.topic, 0)
}

// The listing is asked for until it agrees, for a change is seen by brokers a moment later.
func awaitPartitions(conn *kafka.Conn, topic string, want int) error {
	for deadline := time.Now().Add(patience / 2); ; time.Sleep(50 * time.Millisecond) {
		topics, err := listTopics(conn)
		if err != nil {
			return err
		}
		if topics[topic] == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("topic is listed with %d partitions, want %d", topics[topic], want)
		}
	}
}
