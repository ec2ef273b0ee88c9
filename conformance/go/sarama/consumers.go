package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// The single-partition consumer of the tutorial: partition 0 from the oldest offset.
func expectMessages(r run, count int) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	// Closing waits for the fetch under way, so a short wait keeps the whole suite short.
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	consumer, err := sarama.NewConsumer(r.brokers, config)
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	defer consumer.Close()
	read, err := consumePartition(consumer, r.topic, 0, sarama.OffsetOldest, count)
	if err != nil {
		return err
	}
	for n, got := range read {
		if err := compare(got, n, config.Version); err != nil {
			return err
		}
	}
	middle := int64(count / 2)
	read, err = consumePartition(consumer, r.topic, 0, middle, 1)
	if err != nil {
		return err
	}
	if read[0].Offset != middle {
		return fmt.Errorf("consuming from offset %d began at %d", middle, read[0].Offset)
	}
	return nil
}

func compare(got *sarama.ConsumerMessage, n int, version sarama.KafkaVersion) error {
	want := message(got.Topic, n)
	value, _ := want.Value.Encode()
	switch {
	case got.Offset != int64(n):
		return fmt.Errorf("message %d has offset %d", n, got.Offset)
	case string(got.Key) != "myKey" || string(got.Value) != string(value):
		return fmt.Errorf("message %d reads %q = %q", n, got.Key, got.Value)
	case !got.Timestamp.Equal(want.Timestamp):
		return fmt.Errorf("message %d carries time %s, want %s", n, got.Timestamp, want.Timestamp)
	case len(got.Headers) != 1 || string(got.Headers[0].Key) != "k1" || string(got.Headers[0].Value) != fmt.Sprintf("v%d", n):
		return fmt.Errorf("message %d carries headers %v", n, got.Headers)
	}
	return nil
}

func consumePartition(consumer sarama.Consumer, topic string, partition int32, offset int64, count int) ([]*sarama.ConsumerMessage, error) {
	partitionConsumer, err := consumer.ConsumePartition(topic, partition, offset)
	if err != nil {
		return nil, fmt.Errorf("consume partition %d: %w", partition, err)
	}
	defer partitionConsumer.Close()
	deadline := time.After(patience)
	var read []*sarama.ConsumerMessage
	for len(read) < count {
		select {
		case got := <-partitionConsumer.Messages():
			read = append(read, got)
		case <-deadline:
			return nil, fmt.Errorf("partition %d gave %d of %d messages in time", partition, len(read), count)
		}
	}
	return read, nil
}

// The multi-partition consumer of the tutorial: one goroutine for each partition.
func checkAllPartitions(r run) error {
	const partitions, each = 3, 20
	if err := r.createTopic(partitions); err != nil {
		return err
	}
	if err := fillPartitions(r, partitions, each); err != nil {
		return err
	}
	config, err := r.config()
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer(r.brokers, config)
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	defer consumer.Close()
	ids, err := consumer.Partitions(r.topic)
	if err != nil {
		return fmt.Errorf("partitions: %w", err)
	}
	if len(ids) != partitions {
		return fmt.Errorf("topic has partitions %v, want %d of them", ids, partitions)
	}
	problems := make([]error, len(ids))
	var wait sync.WaitGroup
	for i, id := range ids {
		wait.Add(1)
		go func(i int, id int32) {
			defer wait.Done()
			problems[i] = expectPartition(consumer, r.topic, id, each)
		}(i, id)
	}
	wait.Wait()
	for _, problem := range problems {
		if problem != nil {
			return problem
		}
	}
	return nil
}

func fillPartitions(r run, partitions int32, each int) error {
	return fillPartitionsFrom(r, partitions, 0, each)
}

func fillPartitionsFrom(r run, partitions int32, first, each int) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	if err := r.awaitLeaders(partitions); err != nil {
		return err
	}
	config.Producer.Partitioner = sarama.NewManualPartitioner
	// What is read is each message once, also when its producer has to send it again.
	if config.Version.IsAtLeast(sarama.V0_11_0_0) {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(r.brokers, config)
	if err != nil {
		return fmt.Errorf("sync producer: %w", err)
	}
	var batch []*sarama.ProducerMessage
	for partition := int32(0); partition < partitions; partition++ {
		for n := first; n < first+each; n++ {
			value := fmt.Sprintf("partition %d message %d", partition, n)
			batch = append(batch, &sarama.ProducerMessage{Topic: r.topic, Partition: partition, Value: sarama.StringEncoder(value)})
		}
	}
	if err := sendMessages(producer, batch); err != nil {
		return err
	}
	return producer.Close()
}

func expectPartition(consumer sarama.Consumer, topic string, partition int32, count int) error {
	read, err := consumePartition(consumer, topic, partition, sarama.OffsetOldest, count)
	if err != nil {
		return err
	}
	for n, got := range read {
		want := fmt.Sprintf("partition %d message %d", partition, n)
		if got.Offset != int64(n) || string(got.Value) != want || got.Partition != partition {
			return fmt.Errorf("partition %d offset %d reads %q, want %q at %d", got.Partition, got.Offset, got.Value, want, n)
		}
	}
	return nil
}

// The same client must see the log's ends and be refused beyond them.
func checkOffsets(r run, oldest, newest int64) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	client, err := sarama.NewClient(r.brokers, config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer client.Close()
	for time, want := range map[int64]int64{sarama.OffsetOldest: oldest, sarama.OffsetNewest: newest} {
		got, err := client.GetOffset(r.topic, 0, time)
		if err != nil {
			return fmt.Errorf("offset at %d: %w", time, err)
		}
		if got != want {
			return fmt.Errorf("offset at %d is %d, want %d", time, got, want)
		}
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	if _, err := consumer.ConsumePartition(r.topic, 0, newest+100); !errors.Is(err, sarama.ErrOffsetOutOfRange) {
		return fmt.Errorf("consuming past the end gave %v", err)
	}
	return nil
}
