package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// Enough for a reader that waits for 10 kB to be answered at once.
const messages = 300

func value(n int) string {
	return fmt.Sprintf("message %d %s", n, strings.Repeat("x", 100))
}

// Writer with LeastBytes, then a Reader that starts at offset 42, inside a batch.
func checkWriterAndReader(r run) error {
	leader, err := r.dialLeader()
	if err != nil {
		return err
	}
	leader.Close()
	return roundTrip(r, 0)
}

func checkCompression(r run) error {
	name := r.topic
	for _, codec := range []kafka.Compression{kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		r.topic = fmt.Sprintf("%s-%s", name, codec)
		leader, err := r.dialLeader()
		if err != nil {
			return err
		}
		leader.Close()
		if err := roundTrip(r, codec); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
	}
	return nil
}

func roundTrip(r run, codec kafka.Compression) error {
	writer := &kafka.Writer{
		Addr:        kafka.TCP(r.brokers()...),
		Topic:       r.topic,
		Balancer:    &kafka.LeastBytes{},
		Compression: codec,
		// One batch: the writer does not promise to keep several batches in order.
		BatchSize: messages,
		// A transport of its own: the shared one remembers for seconds which topics exist.
		Transport: &kafka.Transport{},
	}
	batch := make([]kafka.Message, messages)
	for n := range batch {
		batch[n] = kafka.Message{
			Key:     []byte(fmt.Sprintf("Key-%d", n)),
			Value:   []byte(value(n)),
			Headers: []kafka.Header{{Key: "h", Value: []byte{byte(n)}}},
		}
	}
	// What one node says of a new topic, the next may know only a moment later; then nothing is written.
	err := writer.WriteMessages(r.context, batch...)
	for err == kafka.UnknownTopicOrPartition && r.context.Err() == nil {
		time.Sleep(50 * time.Millisecond)
		writer.Transport = &kafka.Transport{}
		err = writer.WriteMessages(r.context, batch...)
	}
	if err != nil {
		return fmt.Errorf("write messages: %w", err)
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("close writer: %w", err)
	}
	return readFrom(r, 42)
}

func readFrom(r run, offset int64) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:   r.brokers(),
		Topic:     r.topic,
		Partition: 0,
		MinBytes:  10e3,
		MaxBytes:  10e6,
		// Close waits for the fetch under way; the default would make that ten seconds.
		MaxWait: 500 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(offset); err != nil {
		return fmt.Errorf("set offset: %w", err)
	}
	for ; offset < messages; offset++ {
		got, err := reader.ReadMessage(r.context)
		if err != nil {
			return fmt.Errorf("read message %d: %w", offset, err)
		}
		n := int(offset)
		if err := expectMessage(got, offset, fmt.Sprintf("Key-%d", n), value(n)); err != nil {
			return err
		}
		if len(got.Headers) != 1 || got.Headers[0].Key != "h" || got.Headers[0].Value[0] != byte(n) {
			return fmt.Errorf("offset %d carries headers %v", offset, got.Headers)
		}
	}
	lag, err := reader.ReadLag(r.context)
	if err != nil || lag != 0 {
		return fmt.Errorf("lag after the last message is %d (%v)", lag, err)
	}
	return nil
}
