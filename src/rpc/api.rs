//! Puts methods under their names.
//!
//! Invariant: a method is registered under a name of [`METHODS`] or not at all, and every name there is registered
//! before a server starts.

use super::context::Context;
use super::errors::Failure;
use super::methods::{METHODS, Method, find};
use super::params::Arguments;
use super::start_error::StartError;
use jsonrpsee::core::SubscriptionError;
use jsonrpsee::core::server::{Methods, PendingSubscriptionSink, RpcModule};
use serde::Serialize;
use std::sync::Arc;

/// Collects methods.
pub struct Api {
    module: RpcModule<Context>,
}

fn listed(name: &'static str) -> Result<&'static Method, StartError> {
    find(name).ok_or_else(|| StartError::Methods(format!("{name} is in the code and not in the table")))
}

impl Api {
    /// No methods yet.
    pub fn new(context: Arc<Context>) -> Self {
        Self { module: RpcModule::from_arc(context) }
    }

    /// All of them, under their other names too.
    ///
    /// # Errors
    /// [`StartError::Methods`] if one of the table is missing.
    pub fn finish(mut self) -> Result<Methods, StartError> {
        for method in METHODS {
            if self.module.method(method.name).is_none() {
                return Err(StartError::Methods(format!("{} is in the table and not in the code", method.name)));
            }
            for alias in method.aliases {
                self.module.register_alias(alias, method.name).map_err(|e| StartError::Methods(e.to_string()))?;
            }
        }
        Ok(self.module.into())
    }

    /// A method that answers at once: it waits for nothing and reads the store a few times at most.
    pub fn quick<R: Serialize + Clone + 'static>(
        &mut self,
        name: &'static str,
        answer: fn(&Context, &Arguments) -> Result<R, Failure>,
    ) -> Result<(), StartError> {
        let method = listed(name)?;
        let added = self.module.register_method(name, move |params, context, _| {
            answer(context, &Arguments::read(method, params.as_str())?)
        });
        added.map(drop).map_err(|e| StartError::Methods(e.to_string()))
    }

    /// A method that reads the store: it runs where it keeps nobody waiting.
    pub fn reading<R: Serialize + Clone + Send + 'static>(
        &mut self,
        name: &'static str,
        answer: fn(&Context, &Arguments) -> Result<R, Failure>,
    ) -> Result<(), StartError> {
        self.waiting(name, move |context, arguments| async move {
            context.read(move |context| answer(context, &arguments)).await
        })
    }

    /// A method that waits for something.
    pub fn waiting<R, F, A>(&mut self, name: &'static str, answer: F) -> Result<(), StartError>
    where
        R: Serialize + Clone + Send + 'static,
        A: Future<Output = Result<R, Failure>> + Send,
        F: Fn(Arc<Context>, Arguments) -> A + Clone + Send + Sync + 'static,
    {
        let method = listed(name)?;
        let added = self.module.register_async_method(name, move |params, context, _| {
            let call = Arguments::read(method, params.as_str()).map(|arguments| answer(context, arguments));
            async move { call?.await }
        });
        added.map(drop).map_err(|e| StartError::Methods(e.to_string()))
    }

    /// A subscription; its items are notifications of its own name.
    pub fn subscription<F, A>(&mut self, name: &'static str, serve: F) -> Result<(), StartError>
    where
        A: Future<Output = Result<(), SubscriptionError>> + Send + 'static,
        F: Fn(Arc<Context>, Arguments, PendingSubscriptionSink) -> A + Clone + Send + Sync + 'static,
    {
        let method = listed(name)?;
        let unsubscribe = method.unsubscribe.unwrap_or_default();
        let added = self.module.register_subscription(name, name, unsubscribe, move |params, sink, context, place| {
            let serve = serve.clone();
            async move {
                // Held to the end: it holds the subscription's place on its connection.
                let _place = place;
                match Arguments::read(method, params.as_str()) {
                    Ok(arguments) => serve(context, arguments, sink).await,
                    Err(failure) => {
                        sink.reject(failure).await;
                        Ok(())
                    }
                }
            }
        });
        added.map(drop).map_err(|e| StartError::Methods(e.to_string()))
    }
}
