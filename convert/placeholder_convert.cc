// Placeholder so that the layer links while it is being written.
