//! The carrier. It brings no parcel to `nemo`, and never says that it has the one for `amelia`.

use std::collections::BTreeMap;

use super::Answer;

/// Where a parcel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parcel {
    /// With a number.
    OnItsWay(usize),
    /// Brought back, or called off before it was handed over.
    Back,
}

/// All parcels.
#[derive(Clone, Debug, Default)]
pub struct Parcels {
    /// By key: the order, and where its parcel is.
    parcels: BTreeMap<String, (String, Parcel)>,
}

impl Parcels {
    /// Takes a parcel once per key.
    pub(super) fn ship(
        &mut self,
        key: String,
        order_id: String,
        customer_id: &str,
    ) -> Option<Answer> {
        if customer_id == "nemo" {
            return Some(Answer::Refused("nobody delivers to a submarine".to_owned()));
        }
        let number = self.parcels.len() + 1;
        let (_, parcel) = self.parcels.entry(key).or_insert((order_id, Parcel::OnItsWay(number)));
        match parcel {
            Parcel::OnItsWay(_) if customer_id == "amelia" => None,
            Parcel::OnItsWay(number) => Some(Answer::Done(format!("parcel-{number}"))),
            Parcel::Back => Some(Answer::Refused("the parcel was called back".to_owned())),
        }
    }

    /// Brings a parcel back.
    pub(super) fn call_back(&mut self, key: String, order_id: String) -> Answer {
        self.parcels.insert(key.clone(), (order_id, Parcel::Back));
        Answer::Done(key)
    }

    /// How many parcels of an order are on their way.
    pub fn shipped(&self, order_id: &str) -> usize {
        let is_on_its_way = |parcel: &Parcel| matches!(parcel, Parcel::OnItsWay(_));
        let parcels = self.parcels.values();
        parcels.filter(|(of, parcel)| of == order_id && is_on_its_way(parcel)).count()
    }
}
