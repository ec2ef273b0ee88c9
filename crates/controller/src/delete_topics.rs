//! DeleteTopics: by name or by id (KIP-516), each topic on its own.

use std::collections::BTreeSet;

use kalda_model::TopicId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kalda_protocol::stored::metadata::{MetadataRecord, RemoveTopicRecord};

use crate::{Controller, Decision, Refusal};

impl Controller<'_> {
    /// Decides which topics of `request` are deleted. Versions before 6 name them in
    /// `topic_names`, later ones in `topics`.
    #[must_use]
    pub fn delete_topics(&self, request: &DeleteTopicsRequest) -> Decision<DeleteTopicsResponse> {
        let by_name = request
            .topic_names
            .iter()
            .map(|name| DeleteTopicState { name: Some(name.clone()), topic_id: TopicId::ZERO });
        let wanted: Vec<_> = by_name.chain(request.topics.iter().cloned()).collect();
        let mut records = Vec::new();
        let mut responses = Vec::new();
        let mut removed = BTreeSet::new();
        for state in wanted {
            let (error_code, error_message, name, topic_id) = match self.find(&state) {
                Ok((name, topic_id)) if removed.insert(topic_id) => {
                    records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }));
                    (ErrorCode::None, None, Some(name), topic_id)
                }
                Ok((name, topic_id)) => {
                    let text = "Duplicate topic name or id.".to_owned();
                    (ErrorCode::InvalidRequest, Some(text), Some(name), topic_id)
                }
                Err(refusal) => (refusal.code, Some(refusal.message), state.name, state.topic_id),
            };
            responses.push(DeletableTopicResult {
                name,
                topic_id,
                error_code: error_code.code(),
                error_message,
            });
        }
        let response = DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() };
        Decision { records, response }
    }

    fn find(&self, state: &DeleteTopicState) -> Result<(String, TopicId), Refusal> {
        match &state.name {
            Some(_) if !state.topic_id.is_zero() => {
                let text = "You may not specify both topic name and topic id.";
                Err(Refusal::new(ErrorCode::InvalidRequest, text))
            }
            Some(name) => match self.image.topics.by_name(name) {
                Some(topic) => Ok((name.clone(), topic.id)),
                None => Err(Refusal::plain(ErrorCode::UnknownTopicOrPartition)),
            },
            None if state.topic_id.is_zero() => {
                let text = "Neither topic name nor id were specified.";
                Err(Refusal::new(ErrorCode::InvalidRequest, text))
            }
            None => match self.image.topics.by_id(state.topic_id) {
                Some(topic) => Ok((topic.name.to_string(), topic.id)),
                None => Err(Refusal::plain(ErrorCode::UnknownTopicId)),
            },
        }
    }
}
