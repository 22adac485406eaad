//! Bytes per handshake flight, counted where they cross the transport.

/// The most flights that are told apart: a full handshake has three, one with a HelloRetryRequest five.
pub const MAX_FLIGHTS: usize = 8;

/// Who sent a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Received,
    Sent,
}

/// Counts the bytes of each flight: a run of bytes in one direction, as in RFC 9846 §2.
///
/// The last flight that a server receives may be counted with application bytes that arrived in the same
/// read; all others are exact.
#[derive(Debug, Default)]
pub struct FlightMeter {
    flights: [u32; MAX_FLIGHTS],
    count: usize,
    direction: Option<Direction>,
}

impl FlightMeter {
    /// Notes bytes taken from the peer.
    pub fn received(&mut self, bytes: usize) {
        self.add(Direction::Received, bytes);
    }

    /// Notes bytes given to the peer.
    pub fn sent(&mut self, bytes: usize) {
        self.add(Direction::Sent, bytes);
    }

    /// Bytes of each flight so far, the client's first hello first.
    pub fn flights(&self) -> &[u32] {
        self.flights.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, direction: Direction, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if self.direction != Some(direction) {
            self.direction = Some(direction);
            self.count = (self.count + 1).min(MAX_FLIGHTS);
        }
        let current = self.count.saturating_sub(1);
        if let Some(flight) = self.flights.get_mut(current) {
            *flight = flight.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_a_run_in_one_direction() {
        let mut meter = FlightMeter::default();
        meter.sent(1000);
        meter.sent(382);
        meter.received(0);
        meter.received(1862);
        meter.sent(600);
        assert_eq!(meter.flights(), [1382, 1862, 600]);
    }

    #[test]
    fn an_endless_exchange_stays_bounded() {
        let mut meter = FlightMeter::default();
        for _ in 0..100 {
            meter.sent(1);
            meter.received(1);
        }
        assert_eq!(meter.flights().len(), MAX_FLIGHTS);
        assert_eq!(meter.flights().last(), Some(&193));
    }
}
