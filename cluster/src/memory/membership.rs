//! The membership of a node that is alone.

use std::sync::Arc;

use parlor_schema::port::{Membership, NodeInfo, View};

/// A view that holds one node and never changes.
pub struct SingleMembership {
    own: NodeInfo,
    view: Arc<View>,
}

impl SingleMembership {
    /// Makes the view of the node `own`.
    #[must_use]
    pub fn new(own: NodeInfo) -> Arc<Self> {
        let view = Arc::new(View {
            version: 1,
            nodes: vec![own.clone()],
        });
        Arc::new(Self { own, view })
    }
}

impl Membership for SingleMembership {
    fn own(&self) -> NodeInfo {
        self.own.clone()
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }
}
