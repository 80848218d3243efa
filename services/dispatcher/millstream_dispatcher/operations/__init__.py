"""Operations on many jobs: the duty that carries them out, a step at a time."""
