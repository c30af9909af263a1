//! The membership of a node that is alone.

use std::sync::{Arc, Mutex, PoisonError};

use parlor_schema::{
    NodeId,
    port::{Load, Membership, NodeInfo, View},
};

/// A view that holds one node and never changes.
pub struct SingleMembership {
    own: NodeInfo,
    view: Arc<View>,
    load: Mutex<Load>,
}

impl SingleMembership {
    /// Makes the view of the node `own`.
    #[must_use]
    pub fn new(own: NodeInfo) -> Arc<Self> {
        let view = Arc::new(View {
            version: 1,
            nodes: vec![own.clone()],
        });
        Arc::new(Self {
            own,
            view,
            load: Mutex::default(),
        })
    }
}

impl Membership for SingleMembership {
    fn own(&self) -> NodeInfo {
        self.own.clone()
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    fn report(&self, load: Load) {
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = load;
    }

    fn loads(&self) -> Vec<(NodeId, Load)> {
        let load = *self.load.lock().unwrap_or_else(PoisonError::into_inner);
        vec![(self.own.node_id.clone(), load)]
    }
}
