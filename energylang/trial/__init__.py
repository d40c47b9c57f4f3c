"""An edit on trial: drafted, tried, judged by gate, guards and what was asked, and staged or refused."""
