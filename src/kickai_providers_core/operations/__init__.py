"""What operators do: prices, reports, rollouts and drills. Commands use it; requests do not."""
