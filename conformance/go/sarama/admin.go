package main

import (
	"fmt"

	"github.com/IBM/sarama"
)

// Every administrative call a standalone client makes, in the version its config implies.
func checkAdmin(r run) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdmin(r.brokers, config)
	if err != nil {
		return fmt.Errorf("cluster admin: %w", err)
	}
	defer admin.Close()
	retention := "3600000"
	detail := &sarama.TopicDetail{
		NumPartitions: 1, ReplicationFactor: replicas(),
		ConfigEntries: map[string]*string{"retention.ms": &retention},
	}
	if err := admin.CreateTopic(r.topic, detail, false); err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	if err := admin.CreateTopic(r.topic, detail, false); err == nil {
		return fmt.Errorf("creating the topic twice was accepted")
	}
	if err := eventually(func() error { return expectListed(admin, r.topic) }); err != nil {
		return err
	}
	if err := eventually(func() error { return expectConfig(admin, r.topic, "retention.ms", retention) }); err != nil {
		return err
	}
	longer := "7200000"
	if err := admin.AlterConfig(sarama.TopicResource, r.topic, map[string]*string{"retention.ms": &longer}, false); err != nil {
		return fmt.Errorf("alter config: %w", err)
	}
	if err := eventually(func() error { return expectConfig(admin, r.topic, "retention.ms", longer) }); err != nil {
		return err
	}
	// The client itself refuses the request for brokers that may be older than 1.0.
	if config.Version.IsAtLeast(sarama.V1_0_0_0) {
		if err := admin.CreatePartitions(r.topic, 2, nil, false); err != nil {
			return fmt.Errorf("create partitions: %w", err)
		}
	}
	if err := trimRecords(r, admin); err != nil {
		return err
	}
	if err := expectCluster(admin, config.Version); err != nil {
		return err
	}
	if err := admin.DeleteTopic(r.topic); err != nil {
		return fmt.Errorf("delete topic: %w", err)
	}
	return eventually(func() error { return expectGone(admin, r.topic) })
}

func expectListed(admin sarama.ClusterAdmin, topic string) error {
	listed, err := admin.ListTopics()
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	if detail, found := listed[topic]; !found || detail.NumPartitions != 1 || detail.ReplicationFactor != replicas() {
		return fmt.Errorf("the new topic is listed as %+v", detail)
	}
	described, err := admin.DescribeTopics([]string{topic})
	if err != nil {
		return fmt.Errorf("describe topics: %w", err)
	}
	if len(described) != 1 || described[0].Err != sarama.ErrNoError || len(described[0].Partitions) != 1 {
		return fmt.Errorf("the new topic is described as %+v", described)
	}
	return nil
}

func expectConfig(admin sarama.ClusterAdmin, topic, key, want string) error {
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}})
	if err != nil {
		return fmt.Errorf("describe config: %w", err)
	}
	for _, entry := range entries {
		if entry.Name == key {
			if entry.Value != want || entry.Default {
				return fmt.Errorf("config %s is %q (default: %t), want %q", key, entry.Value, entry.Default, want)
			}
			return nil
		}
	}
	return fmt.Errorf("config %s is not described", key)
}

func trimRecords(r run, admin sarama.ClusterAdmin) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	config.Producer.Partitioner = sarama.NewManualPartitioner
	if err := sendAsync(r, config, 10); err != nil {
		return err
	}
	if err := admin.DeleteRecords(r.topic, map[int32]int64{0: 4}); err != nil {
		return fmt.Errorf("delete records: %w", err)
	}
	return checkOffsets(r, 4, 10)
}

// Log directories, too, the client asks for only from 1.0 on.
func expectCluster(admin sarama.ClusterAdmin, version sarama.KafkaVersion) error {
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return fmt.Errorf("describe cluster: %w", err)
	}
	if len(brokers) == 0 {
		return fmt.Errorf("the cluster has no brokers")
	}
	if !version.IsAtLeast(sarama.V1_0_0_0) {
		return nil
	}
	// A broker that cannot be reached is left out of the answer.
	var ids []int32
	for _, broker := range brokers {
		ids = append(ids, broker.ID())
	}
	dirs, err := admin.DescribeLogDirs(ids)
	if err != nil {
		return fmt.Errorf("describe log dirs: %w", err)
	}
	if len(dirs) == 0 {
		return fmt.Errorf("no broker tells of its log directories")
	}
	for id, found := range dirs {
		if len(found) == 0 {
			return fmt.Errorf("broker %d has no log directories", id)
		}
	}
	return nil
}

func expectGone(admin sarama.ClusterAdmin, topic string) error {
	listed, err := admin.ListTopics()
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	if _, found := listed[topic]; found {
		return fmt.Errorf("the deleted topic is still listed")
	}
	return nil
}
