"""From what happens to tasks to those who watch them: one sequence, without gap or repeat."""
