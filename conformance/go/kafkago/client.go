package main

import (
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// The Client type negotiates versions, so it reaches newer ones than Conn does.
func checkClient(r run) error {
	client := &kafka.Client{Addr: kafka.TCP(r.brokers()...), Timeout: 10 * time.Second}
	created, err := client.CreateTopics(r.context, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{
			Topic: r.topic, NumPartitions: 2, ReplicationFactor: replicas(),
			ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "3600000"}},
		}},
	})
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	if problem := created.Errors[r.topic]; problem != nil {
		return fmt.Errorf("create topics: %w", problem)
	}
	if err := awaitMetadata(r, client); err != nil {
		return err
	}
	if err := produceAndFetch(r, client); err != nil {
		return err
	}
	if err := expectConfig(r, client); err != nil {
		return err
	}
	deleted, err := client.DeleteTopics(r.context, &kafka.DeleteTopicsRequest{Topics: []string{r.topic}})
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	if problem := deleted.Errors[r.topic]; problem != nil {
		return fmt.Errorf("delete topics: %w", problem)
	}
	return nil
}

func awaitMetadata(r run, client *kafka.Client) error {
	for {
		metadata, err := client.Metadata(r.context, &kafka.MetadataRequest{Topics: []string{r.topic}})
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		if len(metadata.Topics) == 1 && len(metadata.Topics[0].Partitions) == 2 && metadata.ClusterID != "" {
			return nil
		}
		if r.context.Err() != nil {
			return fmt.Errorf("metadata stays %+v", metadata)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func produceAndFetch(r run, client *kafka.Client) error {
	produced, err := produceTwo(r, client)
	if err != nil {
		return err
	}
	if produced.Error != nil || produced.BaseOffset != 0 {
		return fmt.Errorf("produce answered offset %d, %v", produced.BaseOffset, produced.Error)
	}
	offsets, err := client.ListOffsets(r.context, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{r.topic: {kafka.FirstOffsetOf(1), kafka.LastOffsetOf(1)}},
	})
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	if got := offsets.Topics[r.topic]; len(got) != 1 || got[0].FirstOffset != 0 || got[0].LastOffset != 2 {
		return fmt.Errorf("offsets are %+v, want 0 to 2", got)
	}
	fetched, err := client.Fetch(r.context, &kafka.FetchRequest{
		Topic: r.topic, Partition: 1, Offset: 0, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 5 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if fetched.Error != nil || fetched.HighWatermark != 2 {
		return fmt.Errorf("fetch answered high watermark %d, %v", fetched.HighWatermark, fetched.Error)
	}
	for _, want := range []string{"one", "two"} {
		record, err := fetched.Records.ReadRecord()
		if err != nil {
			return fmt.Errorf("read record: %w", err)
		}
		value, err := kafka.ReadAll(record.Value)
		if err != nil || string(value) != want {
			return fmt.Errorf("record reads %q (%v), want %q", value, err, want)
		}
	}
	return nil
}

// The leader of a topic made a moment ago may still be on its way, which a retriable error says.
func produceTwo(r run, client *kafka.Client) (*kafka.ProduceResponse, error) {
	for {
		produced, err := client.Produce(r.context, &kafka.ProduceRequest{
			Topic: r.topic, Partition: 1, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(
				kafka.Record{Value: kafka.NewBytes([]byte("one"))},
				kafka.Record{Value: kafka.NewBytes([]byte("two"))},
			),
		})
		if err != nil {
			return nil, fmt.Errorf("produce: %w", err)
		}
		if retriable, is := produced.Error.(kafka.Error); !is || !retriable.Temporary() {
			return produced, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func expectConfig(r run, client *kafka.Client) error {
	described, err := client.DescribeConfigs(r.context, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: r.topic, ConfigNames: []string{"retention.ms"},
		}},
	})
	if err != nil {
		return fmt.Errorf("describe configs: %w", err)
	}
	for _, resource := range described.Resources {
		for _, entry := range resource.ConfigEntries {
			if entry.ConfigName == "retention.ms" && entry.ConfigValue == "3600000" {
				return nil
			}
		}
	}
	return fmt.Errorf("retention.ms is not described as 3600000: %+v", described.Resources)
}
