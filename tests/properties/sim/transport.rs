//! The way from a process to the platform: requests travel, are judged, take effect, and their answers come back.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use simulated_platform::Delivery;
use supabase_operator::management::{Limits, Sent, Transport, TransportError, TransportKind};
use supabase_operator::rules::clock::Clock as _;

use super::faults::{Faults, Verdict};
use super::scene::Scene;

/// How long an answer is under way at most.
const BACK: Duration = Duration::from_millis(20);

/// The platform as one process reaches it.
#[derive(Debug)]
pub(super) struct WorldTransport {
    pub(super) scene: Scene,
    pub(super) faults: Faults,
}

impl Transport for WorldTransport {
    fn exchange(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        async move {
            self.scene.note("supabase", request.method(), request.uri());
            let effect = *request.method() != Method::GET;
            let name = format!("{} {}", request.method(), request.uri().path());
            let travel = *self.scene.travel.lock().unwrap();
            if !travel.is_zero() {
                tokio::time::sleep(travel).await;
            }
            let verdict = self.faults.judge(effect, &name);
            let spends = request.uri().path() == "/v1/oauth/token";
            if spends {
                self.scene.tokens().sends(request.body(), verdict != Verdict::DieBefore);
            }
            match verdict {
                Verdict::DieBefore => return std::future::pending().await,
                Verdict::HeldBefore(time) => tokio::time::sleep(time).await,
                Verdict::Through | Verdict::DieAfterEffect | Verdict::HeldAfter(_) => {}
            }
            let answer = {
                let mut world = self.scene.world.lock().unwrap();
                world.handle(&request, self.scene.clock.now())
            };
            if spends {
                self.scene.tokens().carried_out();
            }
            if !travel.is_zero() && verdict != Verdict::DieAfterEffect {
                tokio::time::sleep(travel.min(BACK)).await;
            }
            if effect {
                self.scene.changed.send_modify(|count| *count += 1);
            }
            match verdict {
                Verdict::DieAfterEffect => return std::future::pending().await,
                Verdict::HeldAfter(time) => tokio::time::sleep(time).await,
                Verdict::Through | Verdict::DieBefore | Verdict::HeldBefore(_) => {}
            }
            let failed = |kind| Err(TransportError { sent: Sent::Perhaps, kind });
            match answer.delivery {
                Delivery::Padded { bytes } if bytes > limits.body as u64 => {
                    failed(TransportKind::TooLarge { status: answer.response.status().as_u16() })
                }
                Delivery::Now | Delivery::Padded { .. } | Delivery::Trickle { .. } => {
                    Ok(answer.response)
                }
                Delivery::After(wait) if wait < limits.whole => {
                    tokio::time::sleep(wait).await;
                    Ok(answer.response)
                }
                Delivery::After(_) | Delivery::Stall => {
                    tokio::time::sleep(limits.whole).await;
                    failed(TransportKind::TimedOut)
                }
                Delivery::DropAfterEffect
                | Delivery::DropBeforeEffect
                | Delivery::Reset
                | Delivery::ResetMidBody { .. }
                | Delivery::Truncated { .. } => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    failed(TransportKind::Broken)
                }
            }
        }
        .boxed()
    }
}
