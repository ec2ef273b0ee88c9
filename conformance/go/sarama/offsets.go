package main

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

const metadata = "modified metadata"

// The tutorial's standalone consumer with an OffsetManager: no member, offsets under a group's name.
func checkOffsetManager(r run) error {
	const partitions, each = 2, 10
	if err := r.createTopic(partitions); err != nil {
		return err
	}
	for start := int64(0); start < 2; start++ {
		if err := fillPartitionsFrom(r, partitions, int(start)*each, each); err != nil {
			return err
		}
		for partition := int32(0); partition < partitions; partition++ {
			if err := r.consumeWithOffsets(partition, start*each, each); err != nil {
				return fmt.Errorf("start %d, partition %d: %w", start+1, partition, err)
			}
		}
	}
	return nil
}

// Expects to go on at `first` and marks and commits `count` messages from there.
func (r run) consumeWithOffsets(partition int32, first int64, count int) (problem error) {
	config, err := r.config()
	if err != nil {
		return err
	}
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = true
	config.Consumer.Offsets.AutoCommit.Interval = time.Second
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	client, err := sarama.NewClient(r.brokers, config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer client.Close()
	manager, err := sarama.NewOffsetManagerFromClient(r.topic, client)
	if err != nil {
		return fmt.Errorf("offset manager: %w", err)
	}
	defer manager.Close()
	offsets, err := manager.ManagePartition(r.topic, partition)
	if err != nil {
		return fmt.Errorf("manage partition: %w", err)
	}
	defer func() {
		if err := offsets.Close(); err != nil && problem == nil {
			problem = fmt.Errorf("commit: %w", err)
		}
	}()
	next, carried := offsets.NextOffset()
	wantNext, wantCarried := first, metadata
	if first == 0 {
		wantNext, wantCarried = sarama.OffsetOldest, ""
	}
	if next != wantNext || carried != wantCarried {
		return fmt.Errorf("next offset is %d with metadata %q, want %d with %q", next, carried, wantNext, wantCarried)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	defer consumer.Close()
	read, err := consumePartition(consumer, r.topic, partition, next, count)
	if err != nil {
		return err
	}
	for n, got := range read {
		want := fmt.Sprintf("partition %d message %d", partition, first+int64(n))
		if got.Offset != first+int64(n) || string(got.Value) != want {
			return fmt.Errorf("offset %d reads %q, want %q at %d", got.Offset, got.Value, want, first+int64(n))
		}
		offsets.MarkOffset(got.Offset+1, metadata)
	}
	manager.Commit()
	// It tries once, and says only here what became of it.
	select {
	case err := <-offsets.Errors():
		return fmt.Errorf("commit: %w", err)
	default:
	}
	return committed(client, r.topic, partition, first+int64(count))
}

// What another client sees of the commit.
func committed(client sarama.Client, topic string, partition int32, want int64) error {
	manager, err := sarama.NewOffsetManagerFromClient(topic, client)
	if err != nil {
		return fmt.Errorf("second offset manager: %w", err)
	}
	defer manager.Close()
	offsets, err := manager.ManagePartition(topic, partition)
	if err != nil {
		return fmt.Errorf("manage partition again: %w", err)
	}
	defer offsets.AsyncClose()
	next, carried := offsets.NextOffset()
	if next != want || carried != metadata {
		return fmt.Errorf("after the commit the next offset is %d with metadata %q, want %d with %q", next, carried, want, metadata)
	}
	return nil
}
