//! How engaged the users are: active users, sessions, funnels, pipelines, retention.
