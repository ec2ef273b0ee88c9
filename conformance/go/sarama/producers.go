package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// The topic does not exist beforehand: asking for its metadata must create it.
func checkSyncProducer(r run) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(r.brokers, config)
	if err != nil {
		return fmt.Errorf("sync producer: %w", err)
	}
	for n := 0; n < 3; n++ {
		partition, offset, err := producer.SendMessage(message(r.topic, n))
		if err != nil {
			return fmt.Errorf("send message %d: %w", n, err)
		}
		if partition != 0 || offset != int64(n) {
			return fmt.Errorf("message %d was acknowledged at partition %d offset %d", n, partition, offset)
		}
	}
	if err := sendMessages(producer, []*sarama.ProducerMessage{message(r.topic, 3), message(r.topic, 4)}); err != nil {
		return err
	}
	if err := producer.Close(); err != nil {
		return fmt.Errorf("close producer: %w", err)
	}
	return expectMessages(r, 5)
}

// The client's own error only counts what failed; this one says why.
func sendMessages(producer sarama.SyncProducer, batch []*sarama.ProducerMessage) error {
	err := producer.SendMessages(batch)
	var failed sarama.ProducerErrors
	if errors.As(err, &failed) && len(failed) > 0 {
		return fmt.Errorf("send messages: %w; the first: %w", err, failed[0].Err)
	}
	if err != nil {
		return fmt.Errorf("send messages: %w", err)
	}
	return nil
}

func checkAsyncProducer(r run) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	if err := sendAsync(r, config, 50); err != nil {
		return err
	}
	return expectMessages(r, 50)
}

func checkIdempotentProducer(r run) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	if err := sendAsync(r, config, 200); err != nil {
		return err
	}
	return expectMessages(r, 200)
}

// Every accepted message must come back on exactly one of the two channels.
func sendAsync(r run, config *sarama.Config, count int) error {
	if err := r.awaitLeaders(1); err != nil {
		return err
	}
	producer, err := sarama.NewAsyncProducer(r.brokers, config)
	if err != nil {
		return fmt.Errorf("async producer: %w", err)
	}
	deadline := time.After(patience)
	delivered := 0
	for sent := 0; delivered < count; {
		input := producer.Input()
		var next *sarama.ProducerMessage
		if sent < count {
			next = message(r.topic, sent)
		} else {
			input = nil
		}
		select {
		case input <- next:
			sent++
		case problem := <-producer.Errors():
			return fmt.Errorf("delivery: %w", problem.Err)
		case done := <-producer.Successes():
			if done.Offset != int64(delivered) {
				return fmt.Errorf("delivery %d has offset %d", delivered, done.Offset)
			}
			delivered++
		case <-deadline:
			return errors.New("deliveries did not all come back in time")
		}
	}
	return producer.Close()
}

func checkCompression(r run) error {
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4,
	}
	config, err := r.config()
	if err != nil {
		return err
	}
	if config.Version.IsAtLeast(sarama.V2_1_0_0) {
		codecs = append(codecs, sarama.CompressionZSTD)
	}
	name := r.topic
	for _, codec := range codecs {
		r.topic = fmt.Sprintf("%s-%s", name, codec)
		config.Producer.Compression = codec
		if err := sendAsync(r, config, 300); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
		if err := expectMessages(r, 300); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
	}
	return nil
}
