"""Many small trainings: does a network train where theory says it does?"""
