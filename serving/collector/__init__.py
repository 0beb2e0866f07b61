"""The collector: takes events from browsers and servers, enriches them, and lands them in the lake."""
